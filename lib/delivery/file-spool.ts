import { type FileHandle, mkdir, open, readFile, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';

import { ConnectionError, because, fromCaller, invalidOption } from '../errors';
import { type Checks, type Given, checkRecord, func, integer, interval, oneOf, orInfinity } from '../options/checks';
import type { DeliveryMessage, Replay, Spool } from './spool';
import { lockDirectory } from './spool-lock';
import { SpoolReading, encodeAcknowledgement, encodeMessages } from './spool-records';

/** Options of {@link FileSpool}. */
export interface FileSpoolOptions {
  /** Where its files are. It is made if it does not exist, and belongs to one spool at a time. */
  readonly directory: string;
  /**
   * When the disk is asked to keep what was written, by fsync. Default: `'always'`, once for each `append()`, before it
   * resolves: nothing is lost, whatever fails. A number: so many milliseconds after a write, at most; a power failure, or a
   * crash of the operating system, loses what was appended since the last time. `'never'`: the operating system decides.
   * A crash of the process alone loses nothing in any case.
   */
  readonly sync?: 'always' | 'never' | number | undefined;
  /** The most bytes that its files take, 20 bytes for each message included. Default: Infinity. */
  readonly maxBytes?: number | undefined;
  /** Called by `replay()` with `ERR_SPOOL_CORRUPT` for each damaged part of a file. Default: the process emits a warning. */
  readonly onCorrupt?: ((error: ConnectionError) => void) | undefined;
}

/** A file that begins with the message at `first`. */
interface Segment {
  readonly first: number;
  readonly path: string;
  size: number;
  /** The position after its last message. */
  end: number;
}

/** A file is not appended to from this size on. */
const SEGMENT_SIZE = 8 * 1024 * 1024;

const checks: Checks<FileSpoolOptions> = {
  directory(value, name) {
    if (typeof value === 'string' && value !== '' && !value.includes('\0')) return resolve(value);
    throw invalidOption(name, 'the path of a directory', value);
  },
  sync: (value, name) => (typeof value === 'number' ? interval(value, name) : oneOf('always', 'never')(value, name)),
  maxBytes: orInfinity(integer(1)),
  onCorrupt: func,
};

/**
 * A {@link Spool} in a directory of this machine. Each message is a line with a checksum in a file that only its owner can
 * read; files of which all is acknowledged are removed. When the file system fails, a call rejects with
 * `ERR_SPOOL_FAILED`, keeps nothing, and may be repeated.
 */
export class FileSpool implements Spool {
  readonly #options: Given<FileSpoolOptions>;
  readonly #sync: 'always' | 'never' | number;
  readonly #maxBytes: number;
  readonly #segmentSize: number;
  /** From the oldest to the one that is appended to. */
  readonly #segments: Segment[] = [];
  /** The last of them, open for writing. */
  #file: FileHandle | undefined;
  #next = 1;
  #acknowledged = 0;
  /** Bytes of all files. */
  #bytes = 0;
  #lock: string | undefined;
  /** The call of `close()`. */
  #closed: Promise<void> | undefined;
  /** The call that runs, or ran last. */
  #running: Promise<unknown> = Promise.resolve();
  #syncTimer: NodeJS.Timeout | undefined;
  #syncError: ConnectionError | undefined;

  /** @throws ConnectionError `ERR_INVALID_OPTION`, also on Node before 20.15 or 22.2, which have no `zlib.crc32` */
  constructor(options: FileSpoolOptions) {
    this.#options = fromCaller(FileSpool, () => {
      const given = checkRecord<FileSpoolOptions>('', options, checks);
      checks.directory(given.directory, 'option `directory`');
      // `as`: the types are those of a later version.
      if ((crc32 as unknown) !== undefined) return given;
      throw new ConnectionError('ERR_INVALID_OPTION', `FileSpool needs Node ≥ 20.15 or ≥ 22.2, got ${process.version}`);
    });
    this.#sync = this.#options.sync ?? 'always';
    this.#maxBytes = this.#options.maxBytes ?? Infinity;
    this.#segmentSize = Math.min(SEGMENT_SIZE, this.#maxBytes / 8);
  }

  /**
   * Takes the directory and reads what is there. `DeliveryWindow` calls it.
   *
   * @returns undefined in the place of a message that is damaged
   * @throws ConnectionError `ERR_SPOOL_FAILED`, also while another spool has the directory, of this process or another one.
   *   One on another machine or in another container goes unnoticed.
   */
  replay(): Promise<Replay> {
    return this.#run('read', async () => {
      if (this.#lock !== undefined) throw new Error('It was read already');
      await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
      this.#lock = await lockDirectory(this.#options.directory);
      try {
        return await this.#read();
      } catch (error) {
        await rm(this.#lock, { force: true });
        this.#lock = undefined;
        throw error;
      }
    });
  }

  /**
   * Appends messages, and resolves when they are as safe as `sync` says.
   *
   * @throws ConnectionError `ERR_QUEUE_FULL` beyond `maxBytes`, `ERR_SPOOL_FAILED`, `ERR_CLOSED`; none of them is kept
   */
  append(messages: readonly DeliveryMessage[], first: number): Promise<void> {
    return this.#run('written', async () => {
      if (this.#lock === undefined || first !== this.#next) throw new Error(`Position ${first} is not the next`);
      if (this.#syncError !== undefined) throw this.#syncError;
      const bytes = encodeMessages(messages, first);
      if (this.#bytes + bytes.length > this.#maxBytes) await this.#release(1);
      if (this.#bytes + bytes.length > this.#maxBytes) throw this.#full(bytes.length);
      if ((this.#segments.at(-1)?.size ?? Infinity) >= this.#segmentSize) await this.#begin();
      try {
        await this.#write(bytes, this.#sync === 'always');
      } catch (error) {
        if (this.#acknowledged + 1 !== first) throw error;
        // On a full disk, what is acknowledged makes room.
        await this.#release(1);
        await this.#write(bytes, this.#sync === 'always');
      }
      this.#next += messages.length;
      this.#segments.at(-1)!.end = this.#next;
      if (typeof this.#sync === 'number') this.#syncTimer ??= setTimeout(this.#onSyncTimer, this.#sync).unref();
    });
  }

  /** Removes the files of which all is acknowledged. No-op after `close()`: the next process sends those messages again. */
  acknowledge(position: number): Promise<void> {
    if (this.#closed !== undefined) return Promise.resolve();
    return this.#run('written', async () => {
      if (position >= this.#next) throw new Error(`Position ${position} was not appended`);
      this.#acknowledged = Math.max(this.#acknowledged, position);
      await this.#release(this.#segmentSize / 8);
      const line = encodeAcknowledgement(this.#acknowledged);
      if (this.#file === undefined || this.#bytes + line.length > this.#maxBytes) return;
      // Without this line the next process sends some messages again: that is no reason to fail.
      await this.#write(line, false).catch(() => undefined);
    });
  }

  /** Waits for the call that runs, writes everything to the disk unless `sync` is `'never'`, and releases the directory. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    clearTimeout(this.#syncTimer);
    await this.#running.catch(() => undefined);
    try {
      if (this.#syncError !== undefined) throw this.#syncError;
      if (this.#sync !== 'never') await this.#file?.datasync();
    } catch (error) {
      throw this.#failure('written', error);
    } finally {
      await this.#file?.close();
      if (this.#lock !== undefined) await rm(this.#lock, { force: true });
    }
  }

  async #run<T>(what: 'read' | 'written', work: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined)
      throw new ConnectionError('ERR_CLOSED', `The spool in ${this.#options.directory} is closed`);
    try {
      const running = work();
      this.#running = running;
      return await running;
    } catch (error) {
      throw this.#failure(what, error);
    }
  }

  async #read(): Promise<Replay> {
    const { directory, onCorrupt = (error: ConnectionError) => process.emitWarning(error) } = this.#options;
    const names = (await readdir(directory)).filter((name) => /^\d{16}\.spool$/.test(name)).sort();
    const firsts = names.map((name) => Number.parseInt(name, 10));
    const reading = new SpoolReading(firsts[0] ?? 1);
    for (const [index, first] of firsts.entries()) {
      const path = join(directory, names[index]!);
      const end = firsts[index + 1];
      const size = reading.add(await readFile(path), end, (offset, length) => {
        const what = length === 0 ? 'Messages are missing' : `${length} bytes are damaged`;
        onCorrupt(new ConnectionError('ERR_SPOOL_CORRUPT', `${what} in ${path} at offset ${offset}`));
      });
      this.#segments.push({ first, path, size, end: reading.next });
      this.#bytes += size;
    }
    const last = this.#segments.at(-1);
    if (last !== undefined) {
      this.#file = await open(last.path, 'r+');
      await this.#file.truncate(last.size);
      // What a killed process has written but not synced is sent from now on.
      if (this.#sync !== 'never') await this.#file.datasync();
    }
    this.#next = reading.next;
    this.#acknowledged = reading.first - 1;
    return { first: reading.first, messages: reading.messages() };
  }

  /** Removes the files of which all is acknowledged: the last one too, from `size` bytes on, when another is begun. */
  async #release(size: number): Promise<void> {
    const { end, size: lastSize } = this.#segments.at(-1) ?? { end: 0, size: 0 };
    // On a full disk this may fail; then the file goes on.
    if (end === this.#acknowledged + 1 && lastSize >= size) await this.#begin().catch(() => undefined);
    while (this.#segments.length > 1 && this.#segments[0]!.end <= this.#acknowledged + 1) {
      await rm(this.#segments[0]!.path, { force: true });
      this.#bytes -= this.#segments.shift()!.size;
    }
  }

  /** Begins a file, whose name keeps the next position. No-op if the last file has no messages yet. */
  async #begin(): Promise<void> {
    if (this.#segments.at(-1)?.first === this.#next) return;
    const { directory } = this.#options;
    const path = join(directory, `${String(this.#next).padStart(16, '0')}.spool`);
    const file = await open(path, 'w', 0o600);
    try {
      if (this.#sync !== 'never') await this.#file?.datasync();
      // The name has to survive a power failure. Windows opens no directories.
      if (process.platform !== 'win32') await syncDirectory(directory);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#segments.push({ first: this.#next, path, size: 0, end: this.#next });
  }

  /** Appends to the last file. */
  async #write(bytes: Buffer, syncs: boolean): Promise<void> {
    const file = this.#file!;
    const segment = this.#segments.at(-1)!;
    try {
      for (let done = 0; done < bytes.length;) {
        done += (await file.write(bytes, done, bytes.length - done, segment.size + done)).bytesWritten;
      }
      if (syncs) await file.datasync();
    } catch (error) {
      await file.truncate(segment.size).catch(() => undefined);
      throw error;
    }
    segment.size += bytes.length;
    this.#bytes += bytes.length;
  }

  readonly #onSyncTimer = (): void => {
    this.#syncTimer = undefined;
    this.#file?.datasync().catch((error: unknown) => (this.#syncError = this.#failure('written', error)));
  };

  #full(size: number): ConnectionError {
    const why = `has no room for ${size} bytes: ${this.#bytes} of ${this.#maxBytes} are in use`;
    return new ConnectionError('ERR_QUEUE_FULL', `The spool in ${this.#options.directory} ${why}`);
  }

  #failure(what: 'read' | 'written', cause: unknown): ConnectionError {
    if (cause instanceof ConnectionError) return cause;
    const message = `The spool in ${this.#options.directory} could not be ${what}${because(cause)}`;
    return new ConnectionError('ERR_SPOOL_FAILED', message, { cause });
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
