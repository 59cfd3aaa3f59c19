import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ConnectionError } from 'reconnecting-connection';
import { type DeliveryMessage, FileSpool, type FileSpoolOptions } from 'reconnecting-connection/delivery';

import { titled } from '../kit/missing';
import { javascript, run } from '../kit/processes';
import { killWriters } from './killed-writers';

// Processes are started, on a machine with much else to do.
jest.setTimeout(60_000);

const directories: string[] = [];
const spools: FileSpool[] = [];

afterEach(async () => {
  jest.restoreAllMocks();
  jest.useRealTimers();
  await Promise.all(spools.splice(0).map((spool) => spool.close()));
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'spool-'));
  directories.push(directory);
  return directory;
}

/** Opens a spool. Returns what it has kept, and what it has found damaged. */
async function reopen(directory: string, options: Partial<FileSpoolOptions> = {}) {
  const corrupt: string[] = [];
  const onCorrupt = ({ code, message }: ConnectionError) => corrupt.push(`${code}: ${message}`);
  const spool = new FileSpool({ directory, onCorrupt, ...options });
  spools.push(spool);
  const { first, messages } = await spool.replay();
  const kept: (DeliveryMessage | undefined)[] = [];
  for await (const message of messages) kept.push(message);
  return { spool, first, kept, corrupt };
}

const filesOf = (directory: string) => readdirSync(directory).filter((name) => name.endsWith('.spool'));
const bytesOf = (directory: string) =>
  filesOf(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);

describe('what was appended is there for the next process', () => {
  test('texts as texts and bytes as bytes, from the first that is not acknowledged on', async () => {
    const directory = newDirectory();
    const messages = [
      '',
      'two\nlines',
      '"\\\u0000\ud800€',
      Buffer.alloc(0),
      Buffer.from([0, 10, 255]),
      'x'.repeat(100_000),
    ];
    const { spool, first, kept } = await reopen(directory);
    expect([first, kept]).toEqual([1, []]);
    await spool.append(['gone', 'gone too'], 1);
    await spool.append(messages, 3);
    await spool.acknowledge(2);
    await spool.close();
    expect(await reopen(directory)).toMatchObject({ first: 3, kept: messages, corrupt: [] });
  });

  test('and the next position is, when all was acknowledged and its files are gone', async () => {
    const directory = newDirectory();
    const { spool } = await reopen(directory, { maxBytes: 2_000 });
    for (let first = 1; first <= 100; first += 10) {
      await spool.append(
        Array.from({ length: 10 }, () => 'x'.repeat(50)),
        first,
      );
      await spool.acknowledge(first + 9);
    }
    await spool.close();
    expect(bytesOf(directory)).toBeLessThan(250);
    const { spool: next, first } = await reopen(directory);
    expect(first).toBe(101);
    await next.append(['again'], 101);
    await next.close();
    expect(await reopen(directory)).toMatchObject({ first: 101, kept: ['again'] });
  });

  test('its files are for their owner only', async () => {
    const directory = join(newDirectory(), 'a', 'b');
    const { spool } = await reopen(directory);
    await spool.append(['secret'], 1);
    for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    await spool.close();
    expect(readdirSync(directory)).toEqual(filesOf(directory));
  });
});

describe('a file that ends anywhere, or has a wrong byte', () => {
  const messages = ['one', Buffer.from('two'), 'three €'];
  let directory: string;
  let file: string;
  let whole: Buffer;

  beforeEach(async () => {
    directory = newDirectory();
    const { spool } = await reopen(directory);
    await spool.append(['zero'], 1);
    await spool.append(messages, 2);
    await spool.close();
    file = join(directory, filesOf(directory)[0]!);
    whole = readFileSync(file);
  });

  test('cut off at each offset, it has all whole records and no other, and is appended to', async () => {
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(file, whole.subarray(0, length));
      const lines = whole.subarray(0, length).toString('latin1').split('\n').length - 1;
      const rest = ['zero', ...messages].slice(0, lines);
      const { spool, kept, corrupt } = await reopen(directory, { sync: 'never' });
      expect([length, kept, corrupt]).toEqual([length, rest, []]);
      await spool.append(['after'], lines + 1);
      await spool.close();
      const { spool: next, ...found } = await reopen(directory, { sync: 'never' });
      expect(found).toEqual({ first: 1, kept: [...rest, 'after'], corrupt: [] });
      await next.close();
    }
  });

  test('with any byte changed, the damage is reported with its file and offset, the others keep their positions', async () => {
    const all = ['zero', ...messages];
    for (let offset = 0; offset < whole.length; offset++) {
      for (const bit of [1, 128]) {
        const damaged = Buffer.from(whole);
        damaged[offset]! ^= bit;
        writeFileSync(file, damaged);
        const { spool, kept, corrupt } = await reopen(directory, { sync: 'never' });
        expect(corrupt.length).toBeGreaterThan(0);
        expect(corrupt[0]).toMatch(/^ERR_SPOOL_CORRUPT: \d+ bytes are damaged in .*\/0{15}1\.spool at offset \d+$/);
        // Of the last ones it is not known how many they were.
        const lost = kept.slice(0, all.length).filter((message) => message === undefined);
        expect([1, 2]).toContain(lost.length);
        for (const [index, message] of kept.entries()) expect([undefined, all[index]]).toContainEqual(message);
        const next = kept.length + 1;
        expect(next).toBeGreaterThan(all.length);
        await spool.append(['after'], next);
        await spool.close();
        const again = await reopen(directory, { sync: 'never' });
        expect(again.kept).toEqual([...kept, 'after']);
        await again.spool.close();
      }
    }
  });

  test('without a listener the process emits a warning', async () => {
    const damaged = Buffer.from(whole);
    damaged[30]! ^= 1;
    writeFileSync(file, damaged);
    const emitWarning = jest.spyOn(process, 'emitWarning').mockReturnValue();
    await reopen(directory, { onCorrupt: undefined });
    expect(emitWarning).toHaveBeenCalledWith(expect.objectContaining({ code: 'ERR_SPOOL_CORRUPT' }));
  });

  test('a file that is missing between others is reported', async () => {
    const { spool } = await reopen(directory, { maxBytes: 400 });
    await spool.append(['five', 'x'.repeat(100)], 5);
    await spool.append(['seven'], 7);
    await spool.close();
    const files = filesOf(directory);
    expect(files).toHaveLength(3);
    rmSync(join(directory, files[1]!));
    const { kept, corrupt } = await reopen(directory);
    expect(kept).toEqual(['zero', ...messages, undefined, undefined, 'seven']);
    expect(corrupt).toEqual([expect.stringContaining('Messages are missing')]);
  });

  test('a file that was begun and not used takes nothing from the one before it', async () => {
    const { spool } = await reopen(directory);
    await spool.append(['five'], 5);
    await spool.close();
    writeFileSync(join(directory, '0000000000000005.spool'), '');
    const next = await reopen(directory);
    await next.spool.acknowledge(4);
    await next.spool.close();
    expect(await reopen(directory)).toMatchObject({ first: 5, kept: ['five'], corrupt: [] });
  });

  test('an earlier file must not end within a record', async () => {
    const { spool } = await reopen(directory, { maxBytes: 400 });
    await spool.append(['five'], 5);
    await spool.close();
    truncateSync(file, whole.length - 1);
    const { kept, corrupt } = await reopen(directory);
    expect(kept).toEqual(['zero', ...messages.slice(0, -1), undefined, 'five']);
    expect(corrupt).toHaveLength(1);
  });
});

describe('the bound on disk', () => {
  test('beyond it an append is refused whole, until files are acknowledged', async () => {
    const directory = newDirectory();
    const { spool } = await reopen(directory, { maxBytes: 1_000 });
    const text = 'x'.repeat(80);
    let next = 1;
    const fill = async () => {
      for (;;) {
        const refused = await spool.append([text], next).catch((error: unknown) => error);
        expect(bytesOf(directory)).toBeLessThanOrEqual(1_000);
        if (refused !== undefined) return refused;
        next += 1;
      }
    };
    expect(await fill()).toMatchObject({
      code: 'ERR_QUEUE_FULL',
      message: expect.stringMatching(/^The spool in .* has no room for 9\d bytes: 9\d\d of 1000 are in use$/) as string,
    });
    expect(next).toBe(11);
    await expect(spool.append([text, text], next)).rejects.toMatchObject({ code: 'ERR_QUEUE_FULL' });
    await spool.acknowledge(4);
    await fill();
    expect(next).toBeGreaterThan(13);
    // All is acknowledged, and nothing but lines that are not needed fills the disk.
    await spool.acknowledge(next - 1);
    await spool.append([text, text, text, text, text, text, text, text, text], next);
    await spool.close();
    expect(await reopen(directory)).toMatchObject({ first: next, kept: Array(9).fill(text) });
  });
});

describe('what the disk is asked to keep', () => {
  /** Counts the syncs of files. */
  async function spyOnSync() {
    const file = await open(__filename);
    // `as`: the class is not exported.
    const prototype = Object.getPrototypeOf(file) as FileHandle;
    await file.close();
    return jest.spyOn(prototype, 'datasync');
  }

  test("'always': each append, before it resolves", async () => {
    const sync = await spyOnSync();
    const { spool } = await reopen(newDirectory());
    await spool.append(['one', 'two'], 1);
    await spool.append(['three'], 3);
    await spool.acknowledge(1);
    expect(sync).toHaveBeenCalledTimes(2);
  });

  test('a number: so many milliseconds after a write, for all until then; and at the end', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    const sync = await spyOnSync();
    const { spool } = await reopen(newDirectory(), { sync: 100 });
    await spool.append(['one'], 1);
    await spool.append(['two'], 2);
    jest.advanceTimersByTime(99);
    expect(sync).toHaveBeenCalledTimes(0);
    jest.advanceTimersByTime(1);
    expect(sync).toHaveBeenCalledTimes(1);
    await spool.append(['three'], 3);
    await spool.close();
    expect(sync).toHaveBeenCalledTimes(2);
  });

  test('a number: an error of it is reported by the next append', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    const { spool } = await reopen(newDirectory(), { sync: 100 });
    (await spyOnSync()).mockRejectedValueOnce(new Error('EIO: i/o error, fdatasync'));
    await spool.append(['one'], 1);
    await jest.advanceTimersByTimeAsync(100);
    const failure = { code: 'ERR_SPOOL_FAILED', message: expect.stringContaining('EIO') as string };
    await expect(spool.append(['two'], 2)).rejects.toMatchObject(failure);
    await expect(spools.pop()!.close()).rejects.toMatchObject(failure);
  });

  test("'never': nothing", async () => {
    const sync = await spyOnSync();
    const { spool } = await reopen(newDirectory(), { sync: 'never' });
    await spool.append(['one'], 1);
    await spool.close();
    expect(sync).not.toHaveBeenCalled();
  });

  test('an append whose sync fails keeps nothing, and can be repeated', async () => {
    const directory = newDirectory();
    const { spool } = await reopen(directory);
    await spool.append(['one'], 1);
    (await spyOnSync()).mockRejectedValueOnce(new Error('EIO: i/o error, fdatasync'));
    await expect(spool.append(['two'], 2)).rejects.toMatchObject({ code: 'ERR_SPOOL_FAILED' });
    expect(readFileSync(join(directory, filesOf(directory)[0]!), 'latin1')).not.toContain('two');
    await spool.append(['other'], 2);
    await spool.close();
    expect(await reopen(directory)).toMatchObject({ kept: ['one', 'other'], corrupt: [] });
  });
});

describe('a directory belongs to one spool', () => {
  test('another of this process fails', async () => {
    const directory = newDirectory();
    const { spool } = await reopen(directory);
    await expect(reopen(directory)).rejects.toMatchObject({
      code: 'ERR_SPOOL_FAILED',
      message: `The spool in ${directory} could not be read: This process uses it already`,
    });
    await spool.append(['one'], 1);
    await spool.close();
    expect(await reopen(directory)).toMatchObject({ kept: ['one'] });
  });

  test('another process fails while the first lives, and takes over when it was killed', async () => {
    const directory = newDirectory();
    const { spool } = await reopen(directory);
    const script = `
      const { FileSpool } = require(${JSON.stringify(join(await javascript(), 'lib', 'delivery', 'index.js'))});
      new FileSpool({ directory: ${JSON.stringify(directory)} }).replay().then(
        () => { say('taken'); process.kill(process.pid, 'SIGKILL'); },
        (error) => say(error.code + ': ' + error.message),
      );`;
    expect((await run(script)).said).toEqual([
      expect.stringMatching(
        `^ERR_SPOOL_FAILED: The spool in .* could not be read: Process ${process.pid} uses it: lock`,
      ),
    ]);
    await spool.close();
    expect((await run(script)).said).toEqual(['taken']);
    await reopen(directory);
  });
});

describe('a file system that fails', () => {
  test('a directory that cannot be made', async () => {
    const directory = join(__filename, 'spool');
    await expect(reopen(directory)).rejects.toMatchObject({
      code: 'ERR_SPOOL_FAILED',
      message: expect.stringContaining(`The spool in ${directory} could not be read: ENOTDIR`) as string,
      cause: expect.objectContaining({ code: 'ENOTDIR' }) as Error,
    });
  });

  const mount = ['-Urm', 'sh', '-c', 'mount -t tmpfs -o size=256k spool "$0" && exec "$@"'];
  const { status } = spawnSync('unshare', [...mount, tmpdir(), 'true']);
  (status === 0 ? test : test.skip)(
    titled('a full disk', status === 0 ? undefined : 'no private file systems here'),
    async () => {
      const script = `
        const { FileSpool } = require(${JSON.stringify(join(await javascript(), 'lib', 'delivery', 'index.js'))});
        const directory = process.argv[1];
        (async () => {
          let spool = new FileSpool({ directory });
          await spool.replay();
          const text = 'x'.repeat(10_000);
          let next = 1, error;
          while (!error) await spool.append([text], next).then(() => next++, (reason) => (error = reason));
          console.log(error.code, error.cause.code);
          await spool.acknowledge(next - 1);
          await spool.append([text, text], next);
          await spool.close();
          spool = new FileSpool({ directory });
          const { first, messages } = await spool.replay();
          console.log(first === next, [...messages].map((message) => message === text).join());
        })();`;
      const child = spawnSync('unshare', [
        ...mount,
        newDirectory(),
        process.execPath,
        '-e',
        script,
        directories.at(-1)!,
      ]);
      expect(String(child.stderr)).toBe('');
      expect(String(child.stdout)).toBe('ERR_SPOOL_FAILED ENOSPC\ntrue true,true\n');
    },
  );
});

test('a process that is killed while it appends leaves all that was confirmed, in order', async () => {
  // The long form of `npm run soak -- --only killed` kills 200.
  expect(await killWriters(4, newDirectory())).toMatchObject({ problems: [] });
});

test.each<[Record<string, unknown>, RegExp]>([
  [{}, /^Expected option `directory` to be the path of a directory, got undefined$/],
  [{ directory: '' }, /`directory`/],
  [{ directory: '/x', sync: 'each' }, /^Expected option `sync` to be 'always', 'never'/],
  [{ directory: '/x', sync: 0 }, /`sync`/],
  [{ directory: '/x', maxBytes: 0 }, /`maxBytes`/],
  [{ directory: '/x', onCorrupt: true }, /`onCorrupt`/],
])('it throws for wrong options: %p', (options, message) => {
  // `as`: the compiler refuses them too.
  const make = () => new FileSpool(options as unknown as FileSpoolOptions);
  expect(make).toThrow(
    expect.objectContaining({ code: 'ERR_INVALID_OPTION', message: expect.stringMatching(message) as string }),
  );
});

test('a second `close()` waits for the first', async () => {
  const directory = newDirectory();
  const { spool } = await reopen(directory);
  void spool.close();
  await spool.close();
  expect(readdirSync(directory)).toEqual([]);
});

test('it keeps only what follows what it has, and acknowledges only that', async () => {
  const { spool } = await reopen(newDirectory());
  await expect(spool.append(['two'], 2)).rejects.toMatchObject({ code: 'ERR_SPOOL_FAILED' });
  await expect(spool.acknowledge(1)).rejects.toMatchObject({ code: 'ERR_SPOOL_FAILED' });
  await spool.close();
  await expect(spool.append(['one'], 1)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  await spool.acknowledge(1);
});
