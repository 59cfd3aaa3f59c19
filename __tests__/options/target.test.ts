import { inspect } from 'node:util';

import { resolveTarget } from '../../lib/options/resolve-target';
import { type ResolvedTarget, type Target, DEFAULT_HOST, tagOf } from '../../lib/options/target';

describe('tagOf()', () => {
  it.each<[Target | ResolvedTarget, string]>([
    [{ port: 6379 }, '127.0.0.1:6379'],
    [{ port: 1, host: 'db.example' }, 'db.example:1'],
    [{ port: 65_535, host: '10.0.0.1' }, '10.0.0.1:65535'],
    [{ port: 80, host: '::1' }, '[::1]:80'],
    [{ port: 80, host: 'fe80::1%eth0' }, '[fe80::1%eth0]:80'],
    [{ port: 80, host: '::ffff:10.0.0.1' }, '[::ffff:10.0.0.1]:80'],
    [{ port: 443, host: 'db.example', tls: true }, 'db.example:443'],
    [{ path: '/run/db.sock' }, 'unix:/run/db.sock'],
    [{ path: 'relative.sock', tls: {} }, 'unix:relative.sock'],
    [{ path: '\0bus' }, 'unix:@bus'],
    [{ path: String.raw`\\.\pipe\db` }, String.raw`unix:\\.\pipe\db`],
  ])('of %j is %s', (target, tag) => {
    expect(tagOf(target)).toBe(tag);
  });

  it.each(['path', 'host'])('ignores a `%s` of Object.prototype', (name) => {
    const polluted = { value: 'evil.test', configurable: true, enumerable: true, writable: true };
    Object.defineProperty(Object.prototype, name, polluted);
    try {
      expect(tagOf({ port: 80 })).toBe('127.0.0.1:80');
    } finally {
      Reflect.deleteProperty(Object.prototype, name);
    }
  });
});

describe('DEFAULT_HOST', () => {
  it('is the IPv4 loopback address', () => {
    expect(DEFAULT_HOST).toBe('127.0.0.1');
  });
});
describe('resolveTarget()', () => {
  it.each<Target>([{ host: '127.0.0.1', port: 1 }, { host: '127.0.0.1', port: 1, tls: {} }, { path: '/run/db.sock' }])(
    '%j prints as a plain object',
    (target) => {
      const resolved = resolveTarget(target, undefined);
      expect(inspect(resolved)).toBe(inspect({ ...resolved }));
    },
  );
});
