import type { Clock } from './clock';
import type { Network } from './network';
import type { Peer } from './peer';
import type { Random } from '../kit/random';

/** Bytes before each message: its position, and how long it is. */
const HEADER = 6;

/** Milliseconds by which an acknowledgement is late at the most. */
const LATEST = 400;

export function frame(position: number, message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER + message.length);
  bytes.writeUInt32BE(position, 0);
  bytes.writeUInt16BE(message.length, 4);
  bytes.set(message, HEADER);
  return bytes;
}

export function acknowledgement(position: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(position, 0);
  return bytes;
}

/** What judges a message that arrives. */
export interface Judge {
  /** Whether this is the message of that position. */
  isMessage(position: number, message: Buffer): boolean;
  complain(rule: string, message: string): void;
}

/** A server that keeps what it is sent, and acknowledges it at once, late or now and then. Its memory outlives its sessions. */
export class Collector {
  /** The position of the last message that it has. */
  have = 0;
  duplicates = 0;
  /** Whether it says at the beginning of a session how far it is. Then it reads from the newest session alone. */
  readonly greets: boolean;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #judge: Judge;
  readonly #patience: number;
  #newest: Peer | undefined;

  constructor(network: Network, random: Random, judge: Judge, greets: boolean) {
    this.greets = greets;
    this.#clock = network.clock;
    this.#random = random;
    this.#judge = judge;
    this.#patience = random.of([0, 20, LATEST]);
    network.attend = (peer) => this.#attend(peer);
  }

  /** Acknowledges all that it has to a session that goes on. */
  acknowledge(peer: Peer | undefined = this.#newest): void {
    peer?.transmit(acknowledgement(this.have));
  }

  #attend(peer: Peer): (bytes: Buffer, answers: boolean) => void {
    let rest: Buffer = Buffer.alloc(0);
    let isDue = false;
    this.#newest = peer;
    if (this.greets) this.acknowledge(peer);
    return (bytes, answers) => {
      // What an older session still brings comes too late to be counted where the next one was told a position.
      if (this.greets && peer !== this.#newest) return;
      rest = this.#take(rest.length === 0 ? bytes : Buffer.concat([rest, bytes]));
      if (!answers || isDue) return;
      isDue = true;
      this.#clock.after(this.#random.integer(0, this.#patience), () => {
        isDue = false;
        if (!this.greets || peer === this.#newest) this.acknowledge(peer);
      });
    };
  }

  /** Takes all whole messages. Returns what is left. */
  #take(bytes: Buffer): Buffer {
    let place = 0;
    while (bytes.length - place >= HEADER) {
      const end = place + HEADER + bytes.readUInt16BE(place + 4);
      if (end > bytes.length) break;
      this.#keep(bytes.readUInt32BE(place), bytes.subarray(place + HEADER, end));
      place = end;
    }
    return bytes.subarray(place);
  }

  #keep(position: number, message: Buffer): void {
    if (position > this.have + 1) this.#judge.complain('lost', `${position} came after ${this.have}`);
    if (!this.#judge.isMessage(position, message)) this.#judge.complain('content', `${position} is another message`);
    if (position === this.have + 1) this.have = position;
    else this.duplicates += 1;
  }
}
