import type { Socket } from 'node:net';

import { clearTimer, now, setTimer } from './clock';
import { type Cut, cutSocket } from './cut';

/** From the client to the target, or back. */
export type Direction = 'toTarget' | 'toClient';

/** What is done to one direction. Without a default, it is off; a 0 or a false puts it off again. */
export interface Faults {
  /** Milliseconds by which bytes and ends come later. */
  readonly latency?: number | undefined;
  /** Up to so many milliseconds more, by chance. The order is kept. */
  readonly jitter?: number | undefined;
  /** Bytes that are sent at once, at the most. */
  readonly slice?: number | undefined;
  /** Milliseconds from one slice to the next, so that they are read apart. Default: 1. */
  readonly gap?: number | undefined;
  /** Bytes a second, at the most. */
  readonly rate?: number | undefined;
  /** Nothing more is forwarded, neither bytes nor an end, and what comes is kept while there is room. */
  readonly stall?: boolean | undefined;
  /** What comes is read and thrown away, ends included. */
  readonly blackhole?: boolean | undefined;
  /** Milliseconds by which an end (FIN or RST) is passed on later. */
  readonly lateClose?: number | undefined;
}

/** When a link is cut by itself: so many bytes of payload after this was set, or after the link was made. */
export interface CutAfter {
  readonly bytes: number;
  readonly how: Cut;
  readonly counting: Direction | 'both';
}

/** Bytes that one direction keeps at the most, before its source has to wait. */
const ROOM = 262_144;

type Item = { readonly due: number } & (
  { readonly kind: 'bytes'; readonly bytes: Buffer } | { readonly kind: 'end' } | { readonly kind: 'reset' }
);

/** A client and the target, and what goes from one to the other. */
export class ProxiedLink {
  readonly #client: Socket;
  readonly #target: Socket;
  readonly #flows: readonly Flow[];
  #cutAfter: CutAfter | undefined;
  #left = Infinity;

  /** @param onForward - told of bytes as they are handed over */
  constructor(
    client: Socket,
    target: Socket,
    faults: Readonly<Record<Direction, Faults>>,
    onForward: (direction: Direction, bytes: number) => void,
  ) {
    this.#client = client;
    this.#target = target;
    const flow = (direction: Direction, from: Socket, to: Socket) =>
      new Flow(from, to, {
        faults: () => faults[direction],
        allowance: () => (this.#counts(direction) ? this.#left : Infinity),
        onSent: (bytes) => {
          onForward(direction, bytes);
          if (this.#counts(direction)) this.#left -= bytes;
        },
        onTaken: () => {
          if (this.#left === 0) this.cut(this.#cutAfter!.how);
        },
      });
    this.#flows = [flow('toTarget', client, target), flow('toClient', target, client)];
  }

  /** Starts a count afresh, or ends it. */
  set cutAfter(cutAfter: CutAfter | undefined) {
    this.#cutAfter = cutAfter;
    this.#left = cutAfter?.bytes ?? Infinity;
    this.refresh();
  }

  /** To be called when faults have changed. */
  refresh(): void {
    for (const flow of this.#flows) flow.step();
  }

  /** Cuts both sides; what was kept is gone. */
  cut(how: Cut): void {
    for (const flow of this.#flows) flow.stop();
    for (const socket of [this.#client, this.#target]) cutSocket(socket, how);
  }

  #counts(direction: Direction): boolean {
    const counting = this.#cutAfter?.counting ?? 'both';
    return counting === 'both' || counting === direction;
  }
}

interface FlowContext {
  readonly faults: () => Faults;
  /** Bytes that may be sent before the link is cut. */
  readonly allowance: () => number;
  /** Told of bytes that are sent, at once. */
  readonly onSent: (bytes: number) => void;
  /** Told when the kernel has taken what was sent. */
  readonly onTaken: () => void;
}

/** One direction: a line of what came and has not gone yet. */
class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #context: FlowContext;
  #line: Item[] = [];
  #kept = 0;
  #latest = 0;
  /** When the next piece may go, by the rate and the gap. */
  #free = 0;
  #full = false;
  #stopped = false;
  #timer: ReturnType<typeof setTimer> | undefined;

  constructor(from: Socket, to: Socket, context: FlowContext) {
    this.#from = from;
    this.#to = to;
    this.#context = context;
    from.on('data', (bytes) => this.#enter({ kind: 'bytes', bytes }));
    from.on('end', () => this.#enter({ kind: 'end' }));
    from.on('error', () => this.#enter({ kind: 'reset' }));
    to.on('drain', () => {
      this.#full = false;
      this.step();
    });
    to.on('close', () => this.stop());
  }

  /** Sends what may go now, and sees to it that the rest follows. */
  step(): void {
    clearTimer(this.#timer);
    for (let item = this.#line[0]; item !== undefined && !this.#stopped; item = this.#line[0]) {
      if (this.#context.faults().stall === true || this.#full || this.#context.allowance() === 0) return;
      const wait = Math.max(item.due, this.#free) - now();
      if (wait > 0) {
        this.#timer = setTimer(() => this.step(), Math.ceil(wait));
        return;
      }
      this.#line.shift();
      if (item.kind === 'bytes') this.#send(item.bytes, item.due);
      else if (item.kind === 'end') this.#to.end();
      else cutSocket(this.#to, 'reset');
    }
  }

  /** Forwards nothing any more, and lets the source run dry. */
  stop(): void {
    this.#stopped = true;
    clearTimer(this.#timer);
    this.#line = [];
    this.#from.resume();
  }

  #enter(what: { kind: 'bytes'; bytes: Buffer } | { kind: 'end' | 'reset' }): void {
    const { latency = 0, jitter = 0, lateClose = 0, blackhole = false } = this.#context.faults();
    if (this.#stopped || blackhole) return;
    const late = what.kind === 'bytes' ? 0 : lateClose;
    this.#latest = Math.max(this.#latest, now() + latency + Math.random() * jitter);
    this.#line.push({ ...what, due: this.#latest + late });
    if (what.kind === 'bytes') this.#kept += what.bytes.length;
    if (this.#kept >= ROOM) this.#from.pause();
    this.step();
  }

  /** Sends as much of `bytes` as may go at once, and puts the rest back. */
  #send(bytes: Buffer, due: number): void {
    const { slice = 0, gap = 1, rate = 0 } = this.#context.faults();
    // A fiftieth of a second's worth, so that a slow line is slow all the time and not by fits.
    const size = Math.min(slice || Infinity, rate ? Math.max(1, Math.floor(rate / 50)) : Infinity);
    const piece = bytes.subarray(0, Math.min(size, this.#context.allowance()));
    if (piece.length < bytes.length) this.#line.unshift({ kind: 'bytes', bytes: bytes.subarray(piece.length), due });
    this.#free = now() + Math.max(slice ? gap : 0, rate ? (piece.length * 1_000) / rate : 0);
    this.#kept -= piece.length;
    this.#context.onSent(piece.length);
    this.#full = !this.#to.write(piece, this.#context.onTaken);
    if (this.#kept < ROOM) this.#from.resume();
  }
}
