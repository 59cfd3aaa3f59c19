import { createSecureContext } from 'node:tls';
import { runInNewContext } from 'node:vm';

import { Bare, frozen } from '../../lib/options/checks';
import { describe as describeValue } from '../../lib/errors';
import type { MemberOptions } from '../../lib/options/options';
import { resolveTarget } from '../../lib/options/resolve-target';
import { checkOptions, resolveOptions } from '../../lib/options/settings';
import type { Target } from '../../lib/options/target';
import { refusal } from '../kit/refusal';

// Some tests set `rejectUnauthorized: false`, of which the library warns.
jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);

/** Complete options in which the option called `name`, such as `minUptime` or `queue.maxBytes`, has the value `value`. */
function optionsWith(name: string, value: unknown): MemberOptions {
  const [outer = '', inner] = name.split('.');
  const base = outer === 'path' ? {} : { port: 6379 };
  const whole = outer === 'heartbeat' ? { interval: 1_000, ping } : {};
  // `as`: the value may be invalid.
  return { ...base, [outer]: inner === undefined ? value : { ...whole, [inner]: value } };
}

/** Settings that no option is called. */
const DERIVED = ['given', 'nextTarget', 'targets'];

/** The settings of `options`. */
const settingsOf = (options: MemberOptions) => resolveOptions(options).settings;

/** The setting for an option, such as `minUptime` or `queue.maxBytes`, with the value `value`. */
function settingOf(name: string, value: unknown): unknown {
  const [outer = '', inner] = name.split('.');
  const settings = settingsOf(optionsWith(name, value)) as unknown as Record<string, unknown>;
  return inner === undefined ? settings[outer] : (settings[outer] as Record<string, unknown>)[inner];
}

/** Settings as plain objects that can be compared: functions as their source text, secure contexts as a constant. */
function plain(value: unknown): unknown {
  if (typeof value === 'function') return String(value);
  if (value !== null && typeof value === 'object' && 'context' in value) return 'a secure context';
  if (typeof value !== 'object' || value === null || !(value instanceof Bare)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

/** What an error message advises for a value of the wrong type. */
function adviceOn(expected: string, value: unknown): string {
  const isNumeric = /^an? (?:number|integer)/.test(expected) && typeof value === 'string' && /^ ?\d+ ?$/.test(value);
  return isNumeric ? ': use `Number(…)`' : '';
}

const ping = () => undefined;
const noop = () => undefined as never;
const longestPath = 'x'.repeat(process.platform === 'linux' ? 107 : process.platform === 'win32' ? 256 : 103);
const aPath = `a path of 1 to ${longestPath.length} bytes without control characters`;

describe('resolveOptions()', () => {
  it('fills in the defaults', () => {
    const { shouldRetry, backoff, ...settings } = settingsOf({ port: 6379 });
    expect(plain(frozen(settings))).toEqual({
      given: {},
      nextTarget: undefined,
      targets: undefined,
      tls: undefined,
      socket: { noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 },
      dial: undefined,
      handshake: undefined,
      decoder: undefined,
      heartbeat: undefined,
      beforeTls: undefined,
      writeTimeout: 0,
      queue: { maxBytes: 1_048_576, maxAge: Infinity, overflow: 'refuse' },
      minUptime: 5_000,
      maxRetries: Infinity,
      maxElapsed: Infinity,
      maxLifetime: Infinity,
      failback: undefined,
      connectTimeout: 10_000,
      idleTimeout: 0,
      closeTimeout: 2_000,
      autoConnect: true,
      reuseReadBuffer: false,
      signal: undefined,
    });
    expect(shouldRetry({ reason: 'error', attempt: 1 })).toBe(true);
    expect(backoff({ attempt: 1 })).toBeLessThanOrEqual(250);
  });

  it('takes undefined as absent, at every level', () => {
    const names = Object.keys(settingsOf({ port: 1 })).filter((name) => !DERIVED.includes(name));
    const unset = Object.fromEntries(names.map((name) => [name, undefined]));
    const nested = { socket: { noDelay: undefined }, queue: { maxAge: undefined }, backoff: { jitter: undefined } };
    const settings = settingsOf({ ...unset, ...nested, port: 1 });
    expect(plain(settings)).toEqual(plain(settingsOf({ port: 1, backoff: {}, socket: {}, queue: {} })));
  });

  it.each<[MemberOptions, object | undefined]>([
    [{ port: 1 }, { host: '127.0.0.1', port: 1 }],
    [
      { port: 65_535, host: 'db.example' },
      { host: 'db.example', port: 65_535 },
    ],
    [
      { port: 80, host: '::1' },
      { host: '::1', port: 80 },
    ],
    [{ path: '/run/db.sock' }, { path: '/run/db.sock' }],
    [{ target: noop }, undefined],
    [
      { target: noop, port: 80 },
      { host: '127.0.0.1', port: 80 },
    ],
    [
      { port: 80, tls: false },
      { host: '127.0.0.1', port: 80 },
    ],
  ])('resolves the target of %j', (options, target) => {
    expect(plain(resolveOptions(options).target)).toEqual(target);
  });

  it('takes `tls: false` as no TLS', () => {
    expect(settingsOf({ port: 80, tls: false }).tls).toBeUndefined();
  });

  it('adds the TLS options to the target', () => {
    for (const place of [{ port: 443 }, { path: '/run/db.sock' }]) {
      const { target, settings } = resolveOptions({ ...place, tls: { servername: 'db.example' } });
      expect(target?.tls?.servername).toBe('db.example');
      expect(settings.tls).toBeUndefined();
    }
  });

  it('keeps the `target` function', () => {
    const target = () => ({ port: 1 });
    expect(settingsOf({ target }).nextTarget).toBe(target);
  });

  const { signal } = new AbortController();
  const foreignSignal = { aborted: false, addEventListener: ping, removeEventListener: ping } as unknown as AbortSignal;

  it.each<[option: string, good: unknown, setting?: unknown]>([
    ['minUptime', 0],
    ['minUptime', 2 ** 31 - 1],
    ['maxRetries', 0],
    ['maxRetries', 7],
    ['maxRetries', Infinity],
    ['maxElapsed', 0],
    ['maxElapsed', 1e15],
    ['maxElapsed', Infinity],
    ['shouldRetry', noop],
    ['connectTimeout', 0],
    ['connectTimeout', 0.5],
    ['handshake', noop],
    ['decoder', noop],
    ['dial', noop],
    ['backoff', noop],
    ['idleTimeout', 0],
    ['idleTimeout', 2 ** 31 - 1],
    ['idleTimeout', Infinity, 0],
    ['writeTimeout', 5_000],
    ['writeTimeout', Infinity, 0],
    ['beforeTls', noop],
    ['heartbeat.timeout', Infinity],
    ['heartbeat.idle', true],
    ['heartbeat.idle', undefined, false],
    ['queue.overflow', 'drop-oldest'],
    ['heartbeat.interval', 1],
    ['heartbeat.timeout', 250],
    ['heartbeat.timeout', undefined, 1_000],
    ['heartbeat.ping', ping],
    ['queue.maxBytes', 0],
    ['queue.maxBytes', Infinity],
    ['queue.maxBytes', undefined, 1_048_576],
    ['queue.maxAge', 0],
    ['queue.maxAge', 1.5],
    ['queue.maxAge', Infinity],
    ['closeTimeout', 0],
    ['signal', signal],
    ['signal', foreignSignal],
    ['signal', runInNewContext('signal', { signal })],
    ['autoConnect', false],
    ['reuseReadBuffer', true],
    ['socket.noDelay', false],
    ['socket.keepAlive', false],
    ['socket.keepAlive', undefined, true],
    ['socket.keepAliveInitialDelay', 1_000],
    ['socket.keepAliveInitialDelay', 1_001, 2_000],
    ['socket.keepAliveInitialDelay', 1_999.5, 2_000],
    ['socket.keepAliveInitialDelay', 32_767_000],
    ['socket.allowHalfOpen', true],
    ['socket.localAddress', '127.0.0.1'],
    ['socket.localAddress', '::1'],
    ['socket.localPort', 1],
    ['socket.localPort', 65_535],
    ['socket.family', 0],
    ['socket.family', 4],
    ['socket.family', 6],
    ['socket.hints', 0],
    ['socket.lookup', noop],
    ['socket.autoSelectFamily', false],
    ['socket.autoSelectFamilyAttemptTimeout', 10],
  ])('accepts for `%s`: %p', (option, good, setting = good) => {
    expect(settingOf(option, good)).toBe(setting);
  });

  it.each(['db', 'DB.example.', 'xn--bcher-kva.example', '10.0.0.1', '::1', 'fe80::1%eth0', 'under_score', '1'])(
    'accepts for `host`: %s',
    (host) => {
      expect(plain(resolveOptions({ port: 1, host }).target)).toEqual({ port: 1, host });
    },
  );

  it.each(['/run/db.sock', 'with space.sock', longestPath])('accepts for `path`: %s', (path) => {
    expect(plain(resolveOptions({ path }).target)).toEqual({ path });
  });

  it.each<[platform: NodeJS.Platform, bytes: number]>([
    ['linux', 107],
    ['darwin', 103],
    ['win32', 256],
  ])('limits the length of a path as %s does', (platform, bytes) => {
    const here = Object.getOwnPropertyDescriptor(process, 'platform')!;
    Object.defineProperty(process, 'platform', { ...here, value: platform });
    try {
      expect(refusal(() => resolveOptions({ path: 'x'.repeat(bytes) }))).toBe('nothing was thrown');
      expect(refusal(() => resolveOptions({ path: 'x'.repeat(bytes + 1) }))).toContain(`of 1 to ${bytes} bytes`);
    } finally {
      Object.defineProperty(process, 'platform', here);
    }
  });

  // For each option the expected value and some that are refused. `null` is tried with all of them.
  const anyDelay = 'a number ≥ 0';
  const tooLong = `a number ≤ ${2 ** 31 - 1}`;
  const notDelays = ['1000', -1, -0.001, Number.NaN, true, [1_000], {}, 10n, new Date(0)];
  const tooLongs = [2 ** 31, Number.MAX_SAFE_INTEGER, Infinity];
  const notFunctions = ['f', 1, true, {}, [noop], Symbol('f')];
  const notBooleans = ['true', 'false', '', 0, 1, {}, [], noop];
  const notObjects = [true, 1, 'x', [], noop];
  const ip = 'an IP address';
  const range = 'an integer from 1 to 65535';
  const aHost = 'a host name or an address without port, brackets or spaces';
  const refused: [option: string, expected: string, ...bad: unknown[]][] = [
    ['port', range, '6379', '0x1', ' 1 ', 0, -1, 65_536, 1.5, Number.NaN, Infinity, true, [6379], {}, 80n],
    ['host', aHost, '', ' ', 'a b', 'a\tb', 'a\n', '[::1]', '::1:6379:x', 'a/b', '127.0.0.1\0.evil.test'],
    ['host', aHost, 'a\x01b', 'a\x7fb', 'a\u0085b', 'a\u00a0b', 'a\u2028b'],
    ['host', aHost, 5, true, ['127.0.0.1'], {}, new String('db')],
    ['path', aPath, '', 'a\0b', '/a\nb', '/a\u001b[2J', 5, ['/x'], {}, Buffer.from('/x')],
    ['path', aPath, `${longestPath}x`, `${longestPath.slice(1)}ä`],
    ['tls', 'an object, or true', []],
    ['target', 'a function that returns a target, or a list of targets', { port: 1 }, 'f', 1, true],
    ['failback', 'an object with `interval`', ...notObjects],
    ['failback.interval', 'a number ≥ 1', 0, -1, Number.NaN, '30000', undefined],
    ['failback.interval', tooLong, ...tooLongs],
    ['failback.successes', 'an integer ≥ 1', 0, 1.5, '2'],
    ['failback.successes', 'an integer ≤ 9007199254740991', Infinity],
    ['socket', 'an object', ...notObjects],
    ['socket.noDelay', 'a boolean', ...notBooleans],
    ['socket.keepAlive', 'a boolean', ...notBooleans],
    ['socket.keepAliveInitialDelay', 'a number from 1000 to 32767000', 0, 999, -5, 1e12, Number.NaN, Infinity, '30000'],
    ['socket.allowHalfOpen', 'a boolean', ...notBooleans],
    ['socket.localAddress', ip, '', 'localhost', '127.0.0.1:80', '[::1]', '1.2.3', 5, {}, ['127.0.0.1']],
    ['socket.localPort', range, 0, -1, 65_536, 1.5, '80', Number.NaN],
    ['socket.family', '4, 6, or 0 for both', 5, '4', 'IPv4', Number.NaN, true],
    ['socket.hints', 'an integer ≥ 0', -1, 0.5, '0', Number.NaN],
    ['socket.lookup', 'a function', ...notFunctions],
    ['socket.autoSelectFamily', 'a boolean', ...notBooleans],
    ['socket.autoSelectFamilyAttemptTimeout', 'an integer ≥ 10', 0, 9, 10.5, '250', Number.NaN],
    ['socket.autoSelectFamilyAttemptTimeout', `an integer ≤ ${2 ** 31 - 1}`, 2 ** 31, Infinity],
    ['dial', 'a function that returns a stream', ...notFunctions],
    ['backoff', 'an object, or a function', true, 'full', []],
    ['backoff', 'an object, or a function, such as `constantBackoff(…)`', 1_000],
    ['backoff.initialDelay', anyDelay, ...notDelays],
    ['backoff.initialDelay', tooLong, ...tooLongs],
    ['backoff.maxDelay', anyDelay, ...notDelays],
    ['backoff.maxDelay', tooLong, ...tooLongs],
    ['backoff.multiplier', 'a number ≥ 1', 0, 0.999, -2, '2', Number.NaN],
    ['backoff.multiplier', `a number ≤ ${Number.MAX_VALUE}`, Infinity],
    ['backoff.jitter', "'full', 'equal', 'decorrelated', 'none'", 'Full', '', true, 0.5, ['full']],
    ['backoff.random', 'a function', ...notFunctions],
    ['minUptime', anyDelay, ...notDelays],
    ['minUptime', tooLong, ...tooLongs],
    ['maxRetries', 'an integer ≥ 0', -1, 0.5, '5', Number.NaN, -Infinity, true],
    ['maxElapsed', 'a number ≥ 0', -1, '5', Number.NaN, -Infinity, true],
    ['shouldRetry', 'a function that returns true or false', ...notFunctions],
    ['connectTimeout', anyDelay, ...notDelays],
    ['connectTimeout', tooLong, ...tooLongs],
    ['handshake', 'a function', ...notFunctions],
    ['decoder', 'a function that returns a Transform', ...notFunctions],
    ['idleTimeout', anyDelay, ...notDelays],
    ['idleTimeout', tooLong, 2 ** 31],
    ['writeTimeout', anyDelay, -0.001, '100', Number.NaN, -Infinity],
    ['writeTimeout', tooLong, 2 ** 31],
    ['beforeTls', 'a function', ...notFunctions],
    ['heartbeat', 'an object with `interval` and `ping`', ...notObjects],
    ['heartbeat.interval', 'a number ≥ 1', undefined, 0, 0.5, -1, '1000', Number.NaN],
    ['heartbeat.interval', tooLong, ...tooLongs],
    ['heartbeat.timeout', 'a number ≥ 1', 0, 0.5, -1, '1000', Number.NaN],
    ['heartbeat.timeout', tooLong, 2 ** 31],
    ['heartbeat.idle', 'a boolean', ...notBooleans],
    ['queue.overflow', "'refuse', 'drop-oldest'", 'drop', true],
    ['heartbeat.ping', 'a function that writes a ping', undefined, ...notFunctions],
    ['queue', 'an object', ...notObjects],
    ['queue.maxBytes', 'an integer ≥ 0', -1, 0.5, '1024', Number.NaN, -Infinity],
    ['queue.maxAge', anyDelay, ...notDelays],
    ['queue.maxAge', tooLong, 2 ** 31],
    ['closeTimeout', anyDelay, ...notDelays],
    ['closeTimeout', tooLong, ...tooLongs],
    ['signal', 'an AbortSignal', {}, { aborted: 'no' }, { aborted: true }, 'SIGTERM', 1, true],
    ['autoConnect', 'a boolean', ...notBooleans],
    ['reuseReadBuffer', 'a boolean', ...notBooleans],
  ];

  it.each([['hush'], [1], [noop]])('does not quote %p given as `tls`, which may be a key', (value) => {
    const words = `Expected option \`tls\` to be an object, or true, got a value of type ${typeof value}`;
    expect(refusal(() => resolveOptions(optionsWith('tls', value)))).toBe(words);
  });

  it.each([
    ['tcp://db', 'the scheme `tcp://` (a URL is the first argument, before the options)'],
    ['https://db.example/x', 'the scheme `https://` (a URL is the first argument, before the options)'],
    ['db:6379', 'the port `:6379` (it is the option `port`)'],
    ['[::1]:6379', 'the port `:6379` (it is the option `port`)'],
    ['10.0.0.1:80', 'the port `:80` (it is the option `port`)'],
    ['[::1]', 'port, brackets or spaces'],
  ])('says what %j has too much for a host', (host, words) => {
    const expected = `Expected option \`host\` to be a host name or an address without ${words}, got "${host}" (string)`;
    expect(refusal(() => resolveOptions({ port: 1, host }))).toBe(expected);
  });

  it.each<[string, unknown]>([
    ['localAddress', '127.0.0.1'],
    ['localPort', 5000],
    ['family', 4],
    ['hints', 0],
    ['lookup', noop],
    ['autoSelectFamily', false],
    ['autoSelectFamilyAttemptTimeout', 250],
  ])('refuses `socket.%s` beside `dial`, where it could have no effect', (name, value) => {
    const socket = { [name]: value };
    expect(refusal(() => resolveOptions({ port: 1, dial: noop, socket }))).toBe(
      `Expected option \`socket.${name}\` to be absent beside \`dial\`, which opens the socket, got ${describeValue(value)}`,
    );
    expect(settingsOf({ port: 1, dial: noop, socket: { [name]: undefined, noDelay: false } }).dial).toBe(noop);
    expect(settingsOf({ port: 1, socket }).socket).toMatchObject(socket);
  });

  it.each([
    [4, '::1'],
    [6, '127.0.0.1'],
  ] as const)('refuses an address to connect from that is not of family %d', (family, localAddress) => {
    expect(refusal(() => resolveOptions({ port: 1, socket: { family, localAddress } }))).toMatch(
      `Expected option \`socket.localAddress\` to be an address of \`family\` ${family}, got `,
    );
    expect(settingsOf({ port: 1, socket: { family: 0, localAddress } }).socket.localAddress).toBe(localAddress);
  });

  const onLinux = process.platform === 'linux' ? it : it.skip;

  onLinux('takes abstract sockets, as long as the kernel does', () => {
    const longest = `\0${'x'.repeat(107)}`;
    for (const path of ['\0x', '\0@bus/1', longest]) expect(resolveOptions({ path }).target).toEqual({ path });
    for (const path of ['\0', '\0\0x', '\0x\0', '\0x\n', `${longest}x`]) {
      expect(refusal(() => resolveOptions({ path }))).toMatch(/^Expected option `path` to be a path of 1 to 107 bytes/);
    }
    expect(resolveTarget({ path: '\0x' }, undefined)).toEqual({ path: '\0x' });
  });

  it('refuses abstract sockets on other systems', () => {
    const { platform } = process;
    Object.defineProperty(process, 'platform', { value: 'darwin' });
    const message = refusal(() => resolveOptions({ path: '\0x' }));
    Object.defineProperty(process, 'platform', { value: platform });
    expect(message).toBe(
      'Expected option `path` to be a path: only Linux has abstract sockets, got "\\u0000x" (string)',
    );
  });

  it('does not quote the password of a URL given as a host', () => {
    expect(refusal(() => resolveOptions({ port: 1, host: 'tcp://me:hush@db:1' }))).not.toContain('hush');
  });

  describe.each(refused)('`%s` has to be %s', (option, expected, ...bad) => {
    it.each(bad.map((value) => [describeValue(value), value]))('and %s is refused', (_words, value) => {
      const words = `Expected option \`${option}\` to be ${expected}, got ${describeValue(value)}${adviceOn(expected, value)}`;
      expect(refusal(() => resolveOptions(optionsWith(option, value)))).toBe(words);
    });
  });

  it.each([...new Set(refused.map(([option]) => option))])('refuses null for `%s`', (option) => {
    const words = new RegExp(`^Expected option \`${option}\` to be .+, got null$`);
    expect(refusal(() => resolveOptions(optionsWith(option, null)))).toMatch(words);
  });

  it('refuses a symbol for every option', () => {
    // The setting `target` stands for the options `port`, `host` and `path`, and `nextTarget` and `targets` for `target`.
    const names = Object.keys(settingsOf({ port: 1 })).filter((name) => !DERIVED.includes(name));
    for (const name of [...names.filter((each) => each !== 'tls'), 'port', 'host', 'path']) {
      const message = refusal(() => resolveOptions({ port: 1, [name]: Symbol('x') }));
      expect(message).toMatch(new RegExp(`^Expected option \`${name}\` to be .+, got Symbol\\(x\\) \\(symbol\\)$`));
    }
  });

  it('refuses hints for which `dns.lookup` would throw', () => {
    expect(refusal(() => resolveOptions({ port: 1, socket: { hints: 1 } }))).toMatch(
      /^Expected option `socket.hints` to be .+, got 1 \(number\)$/,
    );
  });

  it.each([null, undefined, 6379, '6379', true, [], noop])('refuses %p instead of options', (value) => {
    expect(refusal(() => resolveOptions(value as never))).toBe(
      `Expected the options to be an object, got ${describeValue(value)}`,
    );
  });

  it.each<[wrong: object, option: string]>([
    [{ hots: 'db' }, 'hots'],
    [{ Port: 1 }, 'Port'],
    [{ nextTarget: noop }, 'nextTarget'],
    [{ timeout: 1 }, 'timeout'],
    [{ hots: undefined }, 'hots'],
    [{ hasOwnProperty: noop }, 'hasOwnProperty'],
    [JSON.parse('{ "__proto__": {} }') as object, '__proto__'],
    [{ socket: { nodelay: true } }, 'socket.nodelay'],
    [{ socket: { path: '/x' } }, 'socket.path'],
    [{ socket: { onread: {} } }, 'socket.onread'],
    [{ queue: { maxbytes: 1 } }, 'queue.maxbytes'],
    [{ heartbeat: { interval: 1, ping, timeOut: 5 } }, 'heartbeat.timeOut'],
    [{ backoff: { max: 1 } }, 'backoff.max'],
    [{ tls: { rejectUnauthorised: false } }, 'tls.rejectUnauthorised'],
  ])('refuses the unknown name in %j', (wrong, option) => {
    expect(refusal(() => resolveOptions({ port: 1, ...wrong }))).toMatch(
      new RegExp(`^Unknown option \`${option}\`(?:, expected one of: |: did you mean \`)`),
    );
  });

  it('lists the known names if one is unknown', () => {
    expect(refusal(() => resolveOptions({ port: 1, queue: { size: 1 } as object }))).toBe(
      'Unknown option `queue.size`, expected one of: maxBytes, maxAge, overflow',
    );
  });

  it.each<[options: MemberOptions, words: string]>([
    [{ path: '/x', port: 1 }, 'option `port` to be absent when `path` is set, got 1 (number)'],
    [{ host: 'db', target: () => ({ port: 1 }) }, 'option `port` to be an integer from 1 to 65535, got undefined'],
    [{ path: '/x', host: 'db' }, 'option `host` to be absent when `path` is set, got "db" (string)'],
    [{}, 'option `port` to be an integer from 1 to 65535, got undefined'],
    [{ host: 'db' }, 'option `port` to be an integer from 1 to 65535, got undefined'],
    [
      { port: 1, backoff: { initialDelay: 500, maxDelay: 400 } },
      'option `backoff.initialDelay` to be at most `maxDelay` (400), got 500 (number)',
    ],
  ])('refuses the contradiction in %j', (options, words) => {
    expect(refusal(() => resolveOptions(options))).toBe(`Expected ${words}`);
  });

  it('returns frozen objects that inherit nothing', () => {
    const { settings, target } = resolveOptions({ port: 1, tls: true, heartbeat: { interval: 1, ping } });
    const { socket, queue, heartbeat } = settings;
    for (const part of [settings, target, target?.tls, socket, queue, heartbeat]) {
      expect(part).toBeInstanceOf(Bare);
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it('copies its input, so that later changes have no effect', () => {
    const input = {
      port: 1,
      host: 'db',
      minUptime: 1,
      tls: { servername: 'db.example', rejectUnauthorized: true, ALPNProtocols: ['one'] },
      socket: { noDelay: true },
      queue: { maxBytes: 1 },
      heartbeat: { interval: 1, timeout: 1, ping },
      backoff: { initialDelay: 100, jitter: 'none' as const },
    };
    const { settings, target } = resolveOptions(input);
    const before = structuredClone([plain(settings), plain(target)]);
    Object.assign(input, { port: 2, host: 'evil', minUptime: 2 });
    input.tls.ALPNProtocols.push('two');
    Object.assign(input.tls, { servername: 'evil.example', rejectUnauthorized: false });
    Object.assign(input.socket, { noDelay: false });
    Object.assign(input.queue, { maxBytes: 2 });
    Object.assign(input.heartbeat, { interval: 2, timeout: 2 });
    Object.assign(input.backoff, { initialDelay: 200 });
    expect([plain(settings), plain(target)]).toEqual(before);
    expect(settings.backoff({ attempt: 1 })).toBe(100);
  });

  it('quotes no secret in the error for another option', () => {
    const tls = { key: 'hush-key', passphrase: 'hush-passphrase', servername: 'db.example' };
    const messages = [
      refusal(() => resolveOptions({ tls, port: 0 })),
      refusal(() => resolveOptions({ tls, port: 1, hots: 'db' } as MemberOptions)),
      refusal(() => resolveOptions({ port: 1, tls: { ...tls, requestCert: 1 } as object })),
      refusal(() => resolveOptions({ port: 1, tls: [tls] as object })),
    ];
    expect(messages.join()).not.toContain('hush');
  });

  describe('while Object.prototype is polluted', () => {
    const scenes: Record<string, () => unknown> = {
      'resolveOptions({ port })': () => frozen(resolveOptions({ port: 1 })),
      'resolveOptions({ path })': () => frozen(resolveOptions({ path: '/run/db.sock' })),
      'resolveOptions({ port, tls: true })': () => frozen(resolveOptions({ port: 1, tls: true })),
      'resolveOptions({ port, tls: {} })': () => frozen(resolveOptions({ port: 1, tls: {} })),
      'resolveOptions() with nested options': () =>
        frozen(resolveOptions({ port: 1, socket: {}, queue: {}, heartbeat: { interval: 5, ping } })),
      'resolveOptions({ port, backoff })': () => {
        const { backoff, ...settings } = settingsOf({ port: 1, backoff: { jitter: 'none' } });
        return frozen({ ...settings, delays: [1, 2, 99].map((attempt) => backoff({ attempt })) });
      },
      'resolveTarget({ port })': () => resolveTarget({ port: 1 }, undefined),
      'resolveTarget({ path })': () => resolveTarget({ path: '/run/db.sock' }, undefined),
    };
    const outcomeOf = (scene: () => unknown): unknown => {
      try {
        return plain(scene());
      } catch (error) {
        return error;
      }
    };
    const pollution: [name: string, value: unknown][] = [
      ['port', 6666],
      ['host', 'evil.test'],
      ['path', '/tmp/evil.sock'],
      ['target', () => ({ port: 6666 })],
      ['tls', { rejectUnauthorized: false }],
      ['socket', { noDelay: false }],
      ['queue', { maxBytes: 0 }],
      ['heartbeat', { interval: 1, ping }],
      ['backoff', { initialDelay: 5, jitter: 'none' }],
      ['dial', noop],
      ['handshake', noop],
      ['decoder', noop],
      ['signal', AbortSignal.abort()],
      ['shouldRetry', noop],
      ['minUptime', 1],
      ['maxRetries', 1],
      ['maxElapsed', 1],
      ['connectTimeout', 1],
      ['idleTimeout', 1],
      ['closeTimeout', 1],
      ['autoConnect', false],
      ['reuseReadBuffer', true],
      ['noDelay', false],
      ['keepAlive', false],
      ['keepAliveInitialDelay', 1_000],
      ['allowHalfOpen', true],
      ['lookup', noop],
      ['interval', 1],
      ['timeout', 1],
      ['maxBytes', 1],
      ['maxAge', 1],
      ['initialDelay', 50_000],
      ['maxDelay', 10],
      ['multiplier', 9],
      ['jitter', 'equal'],
      ['random', () => 0],
      ['rejectUnauthorized', false],
      ['checkServerIdentity', noop],
      ['secureContext', createSecureContext()],
      ['servername', 'evil.test'],
      ['key', 'evil'],
      ['cert', 'evil'],
      ['ca', 'evil'],
      ['pfx', 'evil'],
      ['ciphers', 'evil'],
      ['minVersion', 'evil'],
      ['unknown', 'evil'],
    ];

    it.each(pollution)('by `%s`, nothing changes', (name, value) => {
      const clean = Object.entries(scenes).map(([title, scene]) => [title, outcomeOf(scene)]);
      // Enumerable, as after a careless deep merge.
      Object.defineProperty(Object.prototype, name, { value, configurable: true, enumerable: true, writable: true });
      let polluted: unknown;
      try {
        polluted = Object.entries(scenes).map(([title, scene]) => [title, outcomeOf(scene)]);
      } finally {
        Reflect.deleteProperty(Object.prototype, name);
      }
      expect(polluted).toEqual(clean);
    });
  });
});

describe('−0', () => {
  const taken = [
    ...['minUptime', 'maxRetries', 'maxElapsed', 'connectTimeout', 'idleTimeout', 'writeTimeout'],
    ...['closeTimeout', 'queue.maxBytes', 'queue.maxAge', 'socket.family', 'socket.hints'],
  ];
  const refused = [
    ...['port', 'heartbeat.interval', 'heartbeat.timeout', 'backoff.multiplier', 'tls.minDHSize'],
    ...['keepAliveInitialDelay', 'keepAliveInterval', 'keepAliveCount'].map((name) => `socket.${name}`),
    ...['localPort', 'autoSelectFamilyAttemptTimeout'].map((name) => `socket.${name}`),
  ];

  it.each(taken)('is 0 for `%s`', (option) => {
    expect(settingOf(option, -0)).toBe(0);
  });

  it.each(refused)('is refused for `%s`, as 0 is', (option) => {
    expect(refusal(() => resolveOptions(optionsWith(option, -0)))).toMatch(/^Expected option /);
  });
});

describe('checkOptions()', () => {
  it('checks the given options, and requires none', () => {
    expect(plain(checkOptions({ minUptime: 5 }))).toEqual({ minUptime: 5 });
    expect(plain(checkOptions({}))).toEqual({});
    expect(refusal(() => checkOptions({ minUptime: -5 }))).toBe(
      'Expected option `minUptime` to be a number ≥ 0, got -5 (number)',
    );
  });

  it('returns options that are accepted again', () => {
    const options = checkOptions({ port: 1, tls: true, backoff: { jitter: 'none' }, socket: { noDelay: false } });
    expect(plain(checkOptions(options))).toEqual(plain(options));
  });
});

describe('resolveTarget()', () => {
  const { tls } = settingsOf({ target: noop, tls: { servername: 'db.example' } });

  it.each<[Target, object]>([
    [{ port: 80 }, { host: '127.0.0.1', port: 80 }],
    [
      { port: 80, host: '::1' },
      { host: '::1', port: 80 },
    ],
    [{ path: '/run/db.sock' }, { path: '/run/db.sock' }],
    [
      { port: 80, tls: false },
      { host: '127.0.0.1', port: 80 },
    ],
  ])('completes %j', (target, resolved) => {
    const answer = resolveTarget(target, undefined);
    expect(plain(answer)).toEqual(resolved);
    expect(Object.isFrozen(answer)).toBe(true);
    expect(answer).toBeInstanceOf(Bare);
  });

  it("merges the target's `tls` over the connection's", () => {
    expect(resolveTarget({ port: 80 }, tls).tls).toBe(tls);
    expect(resolveTarget({ path: '/run/db.sock' }, tls).tls).toBe(tls);
    expect(resolveTarget({ port: 80, tls: false }, tls).tls).toBeUndefined();
    expect(resolveTarget({ port: 80, tls: true }, tls).tls).toBe(tls);
    expect(resolveTarget({ port: 80, tls: { servername: 'other' } }, tls).tls?.servername).toBe('other');
    expect(resolveTarget({ port: 80, tls: true }, undefined).tls).toBeDefined();
  });

  it.each<[target: unknown, words: string]>([
    [undefined, 'Expected option `target` to be an object, got undefined'],
    [null, 'Expected option `target` to be an object, got null'],
    ['127.0.0.1:80', 'Expected the target to be an object with `port` or `path`, got a string'],
    ['tcp://u:secret@db:80', 'Expected the target to be an object with `port` or `path`, got a string'],
    [[80], 'Expected option `target` to be an object, got an array'],
    [
      { port: '80' },
      'Expected option `target.port` to be an integer from 1 to 65535, got "80" (string): use `Number(…)`',
    ],
    [
      { port: 80, host: '127.0.0.1\0.evil.test' },
      'Expected option `target.host` to be a host name or an address without port, brackets or spaces, ' +
        String.raw`got "127.0.0.1\u0000.evil.test" (string)`,
    ],
    [{ port: 80, hots: 'db' }, 'Unknown option `target.hots`: did you mean `target.host`?'],
    [{ path: '/x', port: 80 }, 'Expected option `port` to be absent when `path` is set, got 80 (number)'],
    [{}, 'Expected the target to be an object with `port` or `path`, got an object'],
    [{ host: 'db' }, 'Expected the target to be an object with `port` or `path`, got an object'],
  ])('refuses %j', (target, words) => {
    expect(refusal(() => resolveTarget(target as Target, undefined))).toBe(words);
  });
});

it('refuses options with a getter that throws', () => {
  const options = {
    port: 1,
    get host(): string {
      throw new RangeError('no host today');
    },
  };
  expect(refusal(() => resolveOptions(options))).toBe(
    'Expected the options to be an object that can be read, got an object: no host today',
  );
});

it.each(['a\x07b', 'a\x1b[31m', 'a\x7f', 'a\u0085'])(
  'refuses control characters in a host, which would go into logs: %j',
  (host) => {
    expect(refusal(() => resolveOptions({ port: 1, host }))).toMatch(/^Expected option `host` to be a host name/);
  },
);
