import type { Socket } from 'node:net';

import { type Cut, cutSocket } from './cut';
import { clearTimer, now, setTimer } from './until';

/** From the client to the target, or back. */
export type Direction = 'toTarget' | 'toClient';

/** The faults of one direction. A fault without a default is off; 0 or false turns it off again. */
export interface Faults {
  /** Milliseconds by which bytes and ends are delayed. */
  readonly latency?: number | undefined;
  /** A random part of so many milliseconds is added to `latency`. The order is kept. */
  readonly jitter?: number | undefined;
  /** The largest number of bytes that are sent at once. */
  readonly slice?: number | undefined;
  /** Milliseconds between two slices, so that they are read separately. Default: 1. */
  readonly gap?: number | undefined;
  /** The largest number of bytes per second. */
  readonly rate?: number | undefined;
  /** Nothing is forwarded, neither bytes nor an end. Up to 256 KiB are kept, then the source has to wait. */
  readonly stall?: boolean | undefined;
  /** Bytes and ends are read and thrown away. */
  readonly blackhole?: boolean | undefined;
  /** Milliseconds by which an end (FIN or RST) is delayed further. */
  readonly lateClose?: number | undefined;
}

/** When a link is cut: after so many bytes since this was set or the link was made. */
export interface CutAfter {
  readonly bytes: number;
  readonly how: Cut;
  readonly counting: Direction | 'both';
}

/** Bytes that one direction keeps before its source has to wait. */
const ROOM = 262_144;

type Item = { readonly due: number } & (
  { readonly kind: 'bytes'; readonly bytes: Buffer } | { readonly kind: 'end' } | { readonly kind: 'reset' }
);

/** A client, the target, and the bytes between them. */
export class ProxiedLink {
  readonly #sockets: readonly Socket[];
  readonly #faults: Readonly<Record<Direction, Faults>>;
  readonly #onForward: (direction: Direction, bytes: number) => void;
  readonly #flows: readonly Flow[];
  #cutAfter: CutAfter | undefined;
  #left = Infinity;

  /** @param onForward - Called with the number of bytes that are forwarded. */
  constructor(
    client: Socket,
    target: Socket,
    faults: Readonly<Record<Direction, Faults>>,
    onForward: (direction: Direction, bytes: number) => void,
  ) {
    this.#sockets = [client, target];
    this.#faults = faults;
    this.#onForward = onForward;
    this.#flows = [new Flow(this, 'toTarget', client, target), new Flow(this, 'toClient', target, client)];
  }

  /** Starts to count anew, or stops. */
  set cutAfter(cutAfter: CutAfter | undefined) {
    this.#cutAfter = cutAfter;
    this.#left = cutAfter?.bytes ?? Infinity;
    this.refresh();
  }

  /** Applies faults that have changed. */
  refresh(): void {
    for (const flow of this.#flows) flow.step();
  }

  /** Cuts both sides, and discards what was kept. */
  cut(how: Cut): void {
    for (const flow of this.#flows) flow.stop();
    for (const socket of this.#sockets) cutSocket(socket, how);
  }

  faultsOf(direction: Direction): Faults {
    return this.#faults[direction];
  }

  /** Bytes that may be sent before the link is cut. */
  allowance(direction: Direction): number {
    return this.#counts(direction) ? this.#left : Infinity;
  }

  onSent(direction: Direction, bytes: number): void {
    this.#onForward(direction, bytes);
    if (this.#counts(direction)) this.#left -= bytes;
  }

  /** The kernel has taken what was sent. */
  onTaken(): void {
    if (this.#left === 0) this.cut(this.#cutAfter!.how);
  }

  #counts(direction: Direction): boolean {
    const counting = this.#cutAfter?.counting ?? 'both';
    return counting === 'both' || counting === direction;
  }
}

/** One direction: a queue of what has arrived and was not sent. */
class Flow {
  readonly #link: ProxiedLink;
  readonly #direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  #queue: Item[] = [];
  #kept = 0;
  /** When the last item of the queue is due. */
  #latest = 0;
  /** When the next piece may be sent, by the rate and the gap. */
  #free = 0;
  #isFull = false;
  #isStopped = false;
  #timer: ReturnType<typeof setTimer> | undefined;

  constructor(link: ProxiedLink, direction: Direction, from: Socket, to: Socket) {
    this.#link = link;
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    from.on('data', (bytes) => this.#add({ kind: 'bytes', bytes }));
    from.on('end', () => this.#add({ kind: 'end' }));
    from.on('error', () => this.#add({ kind: 'reset' }));
    to.on('drain', () => {
      this.#isFull = false;
      this.step();
    });
    to.on('close', () => this.stop());
  }

  /** Sends what may be sent now, and sets a timer for the rest. */
  step(): void {
    clearTimer(this.#timer);
    for (let item = this.#queue[0]; item !== undefined && !this.#isStopped; item = this.#queue[0]) {
      const { stall = false } = this.#link.faultsOf(this.#direction);
      if (stall || this.#isFull || this.#link.allowance(this.#direction) === 0) return;
      const wait = Math.max(item.due, this.#free) - now();
      if (wait > 0) {
        this.#timer = setTimer(() => this.step(), Math.ceil(wait));
        return;
      }
      this.#queue.shift();
      if (item.kind === 'bytes') this.#send(item.bytes, item.due);
      else if (item.kind === 'end') this.#to.end();
      else cutSocket(this.#to, 'reset');
    }
  }

  /** Forwards nothing more, and discards what arrives. */
  stop(): void {
    this.#isStopped = true;
    clearTimer(this.#timer);
    this.#queue = [];
    this.#from.resume();
  }

  #add(what: { kind: 'bytes'; bytes: Buffer } | { kind: 'end' | 'reset' }): void {
    const { latency = 0, jitter = 0, lateClose = 0, blackhole = false } = this.#link.faultsOf(this.#direction);
    if (this.#isStopped || blackhole) return;
    const late = what.kind === 'bytes' ? 0 : lateClose;
    this.#latest = Math.max(this.#latest, now() + latency + Math.random() * jitter);
    this.#queue.push({ ...what, due: this.#latest + late });
    if (what.kind === 'bytes') this.#kept += what.bytes.length;
    if (this.#kept >= ROOM) this.#from.pause();
    this.step();
  }

  /** Sends as much of `bytes` as may be sent at once, and puts the rest back. */
  #send(bytes: Buffer, due: number): void {
    const { slice = 0, gap = 1, rate = 0 } = this.#link.faultsOf(this.#direction);
    // The bytes of 20 ms, so that a slow link is slow all the time and not in bursts.
    const size = Math.min(slice || Infinity, rate ? Math.max(1, Math.floor(rate / 50)) : Infinity);
    const piece = bytes.subarray(0, Math.min(size, this.#link.allowance(this.#direction)));
    if (piece.length < bytes.length) this.#queue.unshift({ kind: 'bytes', bytes: bytes.subarray(piece.length), due });
    this.#free = now() + Math.max(slice ? gap : 0, rate ? (piece.length * 1_000) / rate : 0);
    this.#kept -= piece.length;
    this.#link.onSent(this.#direction, piece.length);
    this.#isFull = !this.#to.write(piece, () => this.#link.onTaken());
    if (this.#kept < ROOM) this.#from.resume();
  }
}
