import { runInNewContext } from 'node:vm';

import type { MemberOptions } from '../../lib/options/options';
import { resolveOptions } from '../../lib/options/settings';
import { checkArguments } from '../../lib/options/url';
import { refusal } from '../kit/refusal';

/** The target of a connection to `url`, without the TLS options, and whether it has some. */
function targetOf(url: string | URL, options?: MemberOptions): object {
  const { tls, ...target } = resolveOptions(checkArguments(url, options)).target!;
  return { ...target, tls: tls !== undefined };
}

const SCHEMES = 'Expected the scheme of the URL to be `tcp://`, `tls://` or `unix://`, got ';

describe('a URL as the target', () => {
  it.each([
    ['tcp://db.example:6379', { host: 'db.example', port: 6379, tls: false }],
    ['tcp://db.example:6379/', { host: 'db.example', port: 6379, tls: false }],
    ['TCP://127.0.0.1:1', { host: '127.0.0.1', port: 1, tls: false }],
    ['tls://db.example:6380', { host: 'db.example', port: 6380, tls: true }],
    ['tls://[2001:db8::1]:443', { host: '2001:db8::1', port: 443, tls: true }],
    ['tcp://m%C3%BCnchen.example:80', { host: 'münchen.example', port: 80, tls: false }],
    ['tcp://münchen.example:80', { host: 'münchen.example', port: 80, tls: false }],
    ['unix:///run/db.sock', { path: '/run/db.sock', tls: false }],
    ['unix:/run/db.sock', { path: '/run/db.sock', tls: false }],
    ['unix:///run/a%20b%3Fc.sock', { path: '/run/a b?c.sock', tls: false }],
  ])('%s is read as %j', (url, target) => {
    expect(targetOf(url)).toEqual(target);
    expect(targetOf(new URL(url))).toEqual(target);
  });

  it('may be an object of another realm', () => {
    const foreign = runInNewContext('new URL("tcp://db:1")', { URL }) as URL;
    expect(targetOf(foreign)).toEqual({ host: 'db', port: 1, tls: false });
  });

  it('takes the options beside it, and merges its TLS with theirs', () => {
    const options = checkArguments('tls://10.0.0.1:1', { tls: { servername: 'db' }, idleTimeout: 5 });
    const { target, settings } = resolveOptions(options);
    expect([target?.tls?.servername, settings.idleTimeout]).toEqual(['db', 5]);
    expect(targetOf('tcp://db:1', { tls: true })).toMatchObject({ tls: true });
    expect(targetOf('unix:///x', { tls: true })).toMatchObject({ tls: true });
    expect(targetOf('tls://db:1', { tls: undefined, port: undefined })).toMatchObject({ port: 1, tls: true });
  });

  it.each([
    ['', 'Expected a URL that can be parsed, such as `tcp://127.0.0.1:6379`'],
    ['db', 'Expected a URL that can be parsed, such as `tcp://127.0.0.1:6379`'],
    ['tcp://db:65536', 'Expected the port of the URL to be an integer from 1 to 65535'],
    ['tls://[::1]:700000/', 'Expected the port of the URL to be an integer from 1 to 65535'],
    ['tcp://::1:6379', 'Expected the URL to have an IPv6 address in brackets, as in `tcp://[::1]:6379`'],
    ['tls://2001:db8::1', 'Expected the URL to have an IPv6 address in brackets, as in `tcp://[::1]:6379`'],
    ['tcp://db:http', 'Expected a URL that can be parsed, such as `tcp://127.0.0.1:6379`'],
    ['tcp://:6379', 'Expected a URL that can be parsed, such as `tcp://127.0.0.1:6379`'],
    [' tcp://db:1', 'Expected a URL that can be parsed, such as `tcp://127.0.0.1:6379`'],
    ['tcp://d\nb:1', 'Expected a URL that can be parsed, such as `tcp://127.0.0.1:6379`'],
    ['tcp://%zz:1', 'Expected a URL that can be parsed, such as `tcp://127.0.0.1:6379`'],
    ['db:6379', `${SCHEMES}text without one: did you mean \`tcp://db:6379\`?`],
    ['127.0.0.1:6379', `${SCHEMES}text without one: did you mean \`tcp://127.0.0.1:6379\`?`],
    ['/run/db.sock', `${SCHEMES}text without one: did you mean \`unix:///run/db.sock\`?`],
    ['mailto:db', `${SCHEMES}text without one`],
    ['redis://db:6379', `${SCHEMES}redis://: did you mean \`tcp://\`?`],
    ['rediss://db:6380', `${SCHEMES}rediss://: did you mean \`tls://\`?`],
    ['tsl://db:6380', `${SCHEMES}tsl://: did you mean \`tls://\`?`],
    ['https://db', `${SCHEMES}https://: did you mean \`tls://\`?`],
    ['ipc:///run/db.sock', `${SCHEMES}ipc://: did you mean \`unix://\`?`],
    ['tls://sensor-7', 'Expected the URL to have a host and a port, as in `tls://sensor-7:6380`'],
    ['tls://[::1]', 'Expected the URL to have a host and a port, as in `tls://[::1]:6380`'],
    ['tcp://db', 'Expected the URL to have a host and a port, as in `tcp://db:6380`'],
    ['tls:///', 'Expected the URL to have a host and a port, as in `tls://db:6380`'],
    ['tcp:db:1', 'Expected the URL to begin with `tcp://`'],
    ['TLS:/db:1', 'Expected the URL to begin with `tls://`'],
    ['tcp://db:1/0', 'Expected the URL to have no path after the port'],
    ['tcp://db:0', 'Expected option `port` to be an integer from 1 to 65535, got 0 (number)'],
    ['unix://run/db.sock', 'Expected the URL to have an absolute path and no host, as in `unix:///run/db.sock`'],
    ['unix:db.sock', 'Expected the URL to have an absolute path and no host, as in `unix:///run/db.sock`'],
    ['unix:///', 'Expected the URL to have an absolute path and no host, as in `unix:///run/db.sock`'],
    ['unix:///a%00b', /^Expected option `path` to be a path of 1 to \d+ bytes without control characters/],
    ['tcp://d%20b:1', /^Expected option `host` to be a host name/],
  ])('%j is refused', (url, words) => {
    const message = refusal(() => targetOf(url));
    if (typeof words === 'string') expect(message).toBe(words);
    else expect(message).toMatch(words);
  });

  it.each([
    'tcp://me:hush@db:1',
    'tcp://:hush@db:1',
    'tcp://hush@db:1',
    'hush:hush@db:1',
    'tcp://me:hush@db:hush',
    'tcp://db:1?password=hush',
    'tcp://db:1#hush',
    'redis://me:hush@db:1',
    'unix://me:hush@db/x',
    'tcp:hush',
  ])('%s is refused without a word of the secret in it', (url) => {
    try {
      targetOf(url);
    } catch (error) {
      // `as`: `checkArguments` throws nothing else.
      const { message, stack, cause, code } = error as Error & { code: string };
      expect([code, cause]).toEqual(['ERR_INVALID_OPTION', undefined]);
      expect(message + String(stack)).not.toContain('hush@');
      expect(message).not.toContain('hush');
      return;
    }
    throw new Error('Nothing was thrown');
  });

  it.each(['port', 'host', 'path', 'target'])('contradicts the option `%s`', (name) => {
    expect(refusal(() => targetOf('tcp://db:1', { [name]: 1 }))).toBe(
      `Expected option \`${name}\` to be absent beside a URL`,
    );
  });

  it('that begins with tls:// contradicts `tls: false`', () => {
    expect(refusal(() => targetOf('tls://db:1', { tls: false }))).toBe(
      'Expected option `tls` not to be false beside a URL that begins with `tls://`',
    );
  });

  it('is the only target that may have options beside it', () => {
    expect(refusal(() => checkArguments({ port: 1 }, { tls: true }))).toBe(
      'Expected the second argument to be absent: it is for options beside a URL',
    );
    expect(refusal(() => checkArguments(6379 as never, 'db' as never))).toBe(
      'Expected the options to be an object such as `{ port: 6379 }`, or a URL, got 6379 (number)',
    );
    expect(refusal(() => checkArguments('tcp://db:1', 5 as never))).toBe(
      'Expected the options to be an object, got 5 (number)',
    );
  });
});
