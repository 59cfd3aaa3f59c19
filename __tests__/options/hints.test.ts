import { ConnectionPool, ReconnectingConnection, dnsTargets } from 'reconnecting-connection';

import { NAMES, meantBy } from '../../lib/options/hints';
import { TLS_OPTIONS } from '../../lib/options/tls';
import { checkOptions } from '../../lib/options/settings';
import { refusal } from '../kit/refusal';

/** The names that a record of options may have, as its error message lists them. */
function accepted(path: string): string[] {
  const options = path === '' ? { '?': 1 } : { [path]: { '?': 1 } };
  // `as`: there is no such option.
  return refusal(() => (path === 'ejection' ? new ConnectionPool(options as object) : checkOptions(options as object)))
    .replace(/^.*: /, '')
    .split(', ');
}

describe('the names that hints are made of', () => {
  it.each(Object.keys(NAMES).filter((path) => path !== 'tls'))('are those that are accepted in `%s`', (path) => {
    expect([...NAMES[path]!].sort()).toEqual(accepted(path).sort());
  });

  it('are accepted in `tls`', () => {
    expect(NAMES['tls']!.filter((name) => !TLS_OPTIONS.includes(name))).toEqual([]);
  });
});

describe('an unknown option', () => {
  it('of a call or a pool is told what does the same', () => {
    const connection = new ReconnectingConnection({ port: 1, autoConnect: false });
    expect(refusal(() => new ConnectionPool({ size: 5 } as object))).toBe(
      'Unknown option `size`: each call of `pool.add()` adds one member',
    );
    expect(refusal(() => void connection.whenOpen({ timeout: 5 } as object))).toBe(
      'Unknown option `whenOpen.timeout`: use `signal: AbortSignal.timeout(…)`',
    );
    expect(refusal(() => connection.write('x', { timeout: 5 } as object))).toBe(
      'Unknown option `write.timeout`: did you mean `write.maxAge`?',
    );
  });

  it.each<[object, string]>([
    [{ ejction: false }, '`ejction`: did you mean `ejection`?'],
    [{ outlierDetection: {} }, '`outlierDetection`: did you mean `ejection`?'],
    [{ maxShare: 0.3 }, '`maxShare`: did you mean `ejection.maxShare`?'],
    [{ ejection: { maxShar: 0.3 } }, '`ejection.maxShar`: did you mean `ejection.maxShare`?'],
    [{ ejection: { threshold: 3 } }, '`ejection.threshold`: did you mean `ejection.failures`?'],
    [{ ejection: { baseEjectionTime: 3 } }, '`ejection.baseEjectionTime`: did you mean `ejection.baseTime`?'],
    [{ ejection: { maxEjectionPercent: 3 } }, '`ejection.maxEjectionPercent`: did you mean `ejection.maxShare`?'],
  ])('of a pool is told what it may have meant: %j', (options, words) => {
    expect(refusal(() => new ConnectionPool(options))).toBe(`Unknown option ${words}`);
  });

  it.each<[object, string]>([
    [{ minimun: 0 }, 'minimum'],
    [{ min: 0 }, 'minimum'],
    [{ subsetSize: 3 }, 'subset'],
    [{ clientId: 'pod-1' }, 'client'],
    [{ onerror: console.log }, 'onError'],
  ])('of follow() is told what it may have meant: %j', (options, name) => {
    const [given] = Object.keys(options);
    const source = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
    expect(refusal(() => new ConnectionPool().follow(source, options))).toBe(
      `Unknown option \`follow.${given}\`: did you mean \`follow.${name}\`?`,
    );
  });

  it.each<[object, string]>([
    [{ hostname: 'db' }, 'name'],
    [{ type: 'SRV' }, 'record'],
    [{ refreshInterval: 1 }, 'interval'],
    [{ intervall: 1 }, 'interval'],
    [{ maxPerRecord: 1 }, 'mostPerRecord'],
    [{ nameserver: '::1' }, 'resolver'],
  ])('of dnsTargets() is told what it may have meant: %j', (options, name) => {
    const [given] = Object.keys(options);
    expect(refusal(() => dnsTargets(options as never))).toBe(`Unknown option \`${given}\`: did you mean \`${name}\`?`);
  });

  it.each<[unknown, string]>([
    // Typing errors.
    [{ connectTimout: 1 }, '`connectTimout`: did you mean `connectTimeout`?'],
    [{ connect_timeout: 1 }, '`connect_timeout`: did you mean `connectTimeout`?'],
    [{ Port: 1 }, '`Port`: did you mean `port`?'],
    [{ hots: 'db' }, '`hots`: did you mean `host`?'],
    [{ autoConect: true }, '`autoConect`: did you mean `autoConnect`?'],
    [{ socket: { nodelay: true } }, '`socket.nodelay`: did you mean `socket.noDelay`?'],
    [{ tls: { serverName: 'x' } }, '`tls.serverName`: did you mean `tls.servername`?'],
    [{ backoff: { intialDelay: 1 } }, '`backoff.intialDelay`: did you mean `backoff.initialDelay`?'],
    [{ queue: { maxByte: 1 } }, '`queue.maxByte`: did you mean `queue.maxBytes`?'],
    [{ heartbeat: { intervall: 1 } }, '`heartbeat.intervall`: did you mean `heartbeat.interval`?'],
    // Names of elsewhere.
    [{ timeout: 1 }, '`timeout`: did you mean `connectTimeout` or `idleTimeout`?'],
    [{ hostname: 'db' }, '`hostname`: did you mean `host`?'],
    [{ encoding: 'utf8' }, '`encoding`: did you mean `decoder`?'],
    [{ ssl: true }, '`ssl`: did you mean `tls`?'],
    [{ secure: true }, '`secure`: did you mean `tls`?'],
    [{ retries: 1 }, '`retries`: did you mean `maxRetries`?'],
    [{ maxAttempts: 1 }, '`maxAttempts`: did you mean `maxRetries`?'],
    [{ reconnectInterval: 1 }, '`reconnectInterval`: did you mean `backoff.initialDelay`?'],
    [{ socketPath: '/x' }, '`socketPath`: did you mean `path`?'],
    [{ backoff: { factor: 2 } }, '`backoff.factor`: did you mean `backoff.multiplier`?'],
    [{ url: 'tcp://db:1' }, '`url`: a URL is the first argument, before the options'],
    [{ uri: 'tcp://db:1' }, '`uri`: a URL is the first argument, before the options'],
    [{ _events: {} }, '`_events`: expected options, got a connection or another emitter'],
    // Options that stand elsewhere.
    [{ keepAlive: true }, '`keepAlive`: did you mean `socket.keepAlive`?'],
    [{ noDelay: true }, '`noDelay`: did you mean `socket.noDelay`?'],
    [{ nodelay: true }, '`nodelay`: did you mean `socket.noDelay`?'],
    [{ localAddress: '::1' }, '`localAddress`: did you mean `socket.localAddress`?'],
    [{ lookup: () => 1 }, '`lookup`: did you mean `socket.lookup`?'],
    [{ ca: 'pem' }, '`ca`: did you mean `tls.ca`?'],
    [{ rejectUnauthorized: false }, '`rejectUnauthorized`: did you mean `tls.rejectUnauthorized`?'],
    [{ maxAge: 1 }, '`maxAge`: did you mean `queue.maxAge`?'],
    [{ socket: { timeout: 1 } }, '`socket.timeout`: did you mean `connectTimeout` or `idleTimeout`?'],
    [{ socket: { host: 'db' } }, '`socket.host`: did you mean `host`?'],
    [{ tls: { keepAlive: true } }, '`tls.keepAlive`: did you mean `socket.keepAlive`?'],
    [{ backoff: { maxRetries: 3 } }, '`backoff.maxRetries`: did you mean `maxRetries`?'],
  ])('%j is told what it may have meant', (options, words) => {
    expect(refusal(() => checkOptions({ port: 1, ...(options as object) }))).toBe(`Unknown option ${words}`);
  });

  it.each(['colour', 'x', '', '__proto__', 'constructor', 'toString'])('%j gets the list of all names', (name) => {
    expect(meantBy(name, '', NAMES['']!)).toEqual([]);
    expect(refusal(() => checkOptions(JSON.parse(`{ "port": 1, "${name}": 1 }`) as object))).toMatch(
      /^Unknown option `\w*`, expected one of: port, host, path, /,
    );
  });

  it('is not told an option that its record cannot have, nor the very name that it has', () => {
    expect(meantBy('keepAlive', '', ['where', 'deadline'])).toEqual([]);
    expect(meantBy('timeout', '', ['where', 'deadline'])).toEqual([]);
    expect(meantBy('timeout', 'whenOpen', ['signal', 'attempts'])).toEqual([]);
    expect(meantBy('maxDelay', 'backoff', ['random'])).toEqual([]);
    expect(meantBy('hostname', 'target', ['port', 'host', 'path', 'tls'])).toEqual(['target.host']);
  });
});
