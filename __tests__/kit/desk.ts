import { Duplex } from 'node:stream';

import { ConnectionError } from '../../lib/errors';
import { DeliveryQueue } from '../../lib/events/delivery-queue';
import { Emitter } from '../../lib/events/emitter';
import type { ConnectionEvents, DropInfo, DropReason, WriteCount } from '../../lib/events/events';
import type { Complete } from '../../lib/options/checks';
import type { QueueOptions } from '../../lib/options/options';
import type { WriteOptions } from '../../lib/options/write-options';
import { Outbox } from '../../lib/writes/outbox';
import type { WriteCallback } from '../../lib/writes/write';

export const TAG = '127.0.0.1:6379';

/** A transport that takes one write at a time, and finishes it when the test calls `confirm()` or `done()`. */
export class SlowLink extends Duplex {
  /** The chunks passed to `write`, in order. */
  readonly handed: string[] = [];
  /** The chunks passed to `_write`, in order. */
  readonly sent: string[] = [];
  #done: ((error?: Error | null) => void) | undefined;

  constructor(writableHighWaterMark = 1_000) {
    super({ writableHighWaterMark, read: () => undefined });
    this.on('error', () => undefined);
  }

  override write(...args: unknown[]): boolean {
    this.handed.push(String(args[0]));
    return Reflect.apply(super.write, this, args) as boolean;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.sent.push(chunk.toString());
    this.#done = done;
  }

  /** The kernel takes the oldest `count` writes. */
  confirm(count = 1): this {
    for (let left = count; left > 0; left--) this.done();
    return this;
  }

  /** Finishes the oldest write, with or without an error. */
  done(error?: Error): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(error);
  }
}

/** An outbox that records the results of its writes, and checks its totals after every step. */
export class Desk {
  readonly outbox: Outbox;
  /** The calls of callbacks: `a` for a write that was confirmed, `a ERR_…` for one that failed. */
  readonly fates: string[] = [];
  readonly errors = new Map<string, Error>();
  readonly drops: DropInfo[] = [];
  rooms = 0;

  constructor(bounds: Partial<Complete<QueueOptions>> = {}) {
    const emitter = new Emitter<ConnectionEvents>();
    emitter.on('drop', (info) => this.drops.push(info)).on('drain', () => (this.rooms += 1));
    const delivery = new DeliveryQueue(emitter);
    this.outbox = new Outbox({ maxBytes: 1_000, maxAge: Infinity, overflow: 'refuse', ...bounds }, delivery, {
      tag: TAG,
    });
  }

  /** Writes each text with a callback. Returns what the last `write` returned. */
  write(...texts: string[]): boolean {
    let room = true;
    for (const text of texts) {
      const callback: WriteCallback = (error: NodeJS.ErrnoException | null | undefined) => {
        this.fates.push(error ? `${text} ${error.code}` : text);
        if (error) this.errors.set(text, error);
      };
      room = this.outbox.write(Buffer.from(text), callback);
      this.outbox.sendNow();
      this.check();
    }
    return room;
  }

  /** Writes one text with options, and a callback. */
  ask(text: string, options: WriteOptions): boolean {
    const room = this.outbox.write(
      Buffer.from(text),
      (error) => this.fates.push(error ? `${text} ${error.code}` : text),
      options,
    );
    this.check();
    return room;
  }

  /** Writes without a callback. */
  post(text: string): boolean {
    const room = this.outbox.write(Buffer.from(text), undefined);
    this.outbox.sendNow();
    this.check();
    return room;
  }

  attach(link: SlowLink = new SlowLink()): SlowLink {
    this.outbox.attach(link, false);
    this.check();
    return link;
  }

  /** A session opens, and its `open` listeners write nothing. */
  open(link?: SlowLink): SlowLink {
    const attached = this.attach(link);
    this.flush();
    return attached;
  }

  flush(): void {
    this.outbox.flush();
    this.check();
  }

  seal(): void {
    this.outbox.seal();
    this.check();
  }

  /** The session is lost, and the callbacks are called. */
  lose(cause?: Error): WriteCount {
    const { uncertain, settle: tell } = this.outbox.detach(cause);
    this.check();
    tell();
    this.check();
    return uncertain;
  }

  /** The lifecycle is over, and the callbacks are called. */
  drop(reason: DropReason = 'disconnected', error = new ConnectionError('ERR_CLOSED', 'closed')): void {
    const tell = this.outbox.drop(reason, () => error);
    this.check();
    tell();
    this.check();
  }

  /** The dropped chunks, each with its reason. */
  get dropped(): string[] {
    return this.drops.map(({ chunk, reason }) => `${chunk.toString()} ${reason}`);
  }

  /** accepted = confirmed + uncertain + dropped + queued, at all times. */
  check(): void {
    const { accepted, confirmed, uncertain, dropped, queued } = this.outbox.totals;
    const sum = (key: 'writes' | 'bytes') => confirmed[key] + uncertain[key] + dropped[key] + queued[key];
    expect({ writes: sum('writes'), bytes: sum('bytes') }).toEqual(accepted);
    expect(this.outbox.pendingBytes).toBe(queued.bytes);
  }
}
