import type { Clock } from './clock';
import { type Parcel, Lane } from './lane';
import type { Link } from './link';
import type { Random } from '../kit/random';
import type { Server } from './network';
import { ByteStream } from './stream';

/** What a handshake says, and what it is answered. */
export const HELLO = Buffer.from('HELLO\n');
export const WELCOME = Buffer.from('WELCOME\n');

/** Bytes that a peer sends ahead of a process that does not read. */
const WINDOW = 32_768;

/** Milliseconds that a peer takes to answer. */
const PAUSE = 20;

/** Slices that what is sent at once is cut into at the most. */
const SLICES = 12;

/** What a peer needs of the network around it. */
export interface PeerHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly server: Server;
  /** Whether a session begins with a handshake. */
  readonly greets: boolean;
  /** Told when bytes arrive that were not written, or not then. */
  complain(message: string): void;
}

/** The server's end of a link. What it sends is numbered, so that nothing can be lost, repeated or mixed unseen. */
export class Peer {
  readonly link: Link;
  /** What it sent. */
  readonly sent = new ByteStream();
  /** Whether its process, its machine or the connection is no more. */
  gone = false;
  /** Whether it has sent its end. */
  ended = false;
  /** Takes what arrives in place of an answer in lines; also told whether the server answers. */
  onBytes: ((bytes: Buffer, answers: boolean) => void) | undefined;
  readonly #host: PeerHost;
  readonly #toClient: Lane;
  readonly #toServer: Lane;
  #unread: Parcel[] = [];
  #greeting: Buffer;
  #lines = 0;
  #answering = false;

  constructor(link: Link, host: PeerHost) {
    this.link = link;
    this.#host = host;
    this.#greeting = host.greets ? HELLO : Buffer.alloc(0);
    const isCut = () => host.server.cut;
    this.#toClient = new Lane(host.clock, isCut, (parcel) => link.receive(parcel));
    this.#toServer = new Lane(host.clock, isCut, (parcel) => this.#onParcel(parcel));
  }

  /** Whether bytes are on their way in either direction. */
  get busy(): boolean {
    return this.#toClient.length + this.#toServer.length + this.#unread.length > 0;
  }

  /** The kernel at the other end. */
  send(parcel: Parcel): void {
    this.#toServer.send(parcel, this.#latency());
  }

  /** Sends so many lines. */
  say(lines: number): void {
    if (this.#greeting.length > 0) return;
    let text = '';
    for (let line = 0; line < lines; line++) {
      text += `${this.link.number}.${this.#lines++}${'.'.repeat(this.#host.random.integer(0, 20))}\n`;
    }
    this.transmit(Buffer.from(text));
  }

  /** Sends bytes in slices as the network makes them. */
  transmit(bytes: Buffer): void {
    const { server, random } = this.#host;
    if (this.gone || this.ended || this.link.unread > WINDOW || this.#toClient.length > 2_000) return;
    this.sent.append(bytes);
    for (let place = 0; place < bytes.length;) {
      const size = Math.max(random.integer(1, server.slice), Math.ceil(bytes.length / SLICES));
      this.#toClient.send(bytes.subarray(place, place + size), this.#latency());
      place += size;
    }
  }

  /** Says a line every so often, for as long as there is someone to hear it. */
  chat(every: number): void {
    this.#host.clock.after(every, () => {
      if (this.gone || this.ended || this.link.destroyed) return;
      if (this.#host.server.answers) this.say(1);
      this.chat(every);
    });
  }

  /** Part of a line, and then the end. */
  sayHalf(): this {
    if (this.#greeting.length === 0) this.transmit(Buffer.from(`${this.link.number}.half`));
    return this;
  }

  /** Ends in good order. */
  end(): void {
    if (this.ended || this.gone) return;
    this.ended = true;
    this.#toClient.send('fin', this.#latency());
  }

  reset(): void {
    if (this.gone) return;
    this.gone = true;
    this.#toClient.send('rst', this.#latency());
  }

  /** Reads what waits, or has the lanes deliver what a partition held up. */
  wake(): void {
    // What was never acknowledged is sent again, to a machine that knows nothing of it.
    if (this.gone && this.#unread.splice(0).length > 0) this.#toClient.send('rst', this.#latency());
    this.#toClient.service();
    this.#toServer.service();
    while (this.#host.server.reads && this.#unread.length > 0 && !this.gone) this.#read(this.#unread.shift()!);
  }

  #onParcel(parcel: Parcel): void {
    if (this.gone) {
      // A machine that knows nothing of a connection says so.
      if (parcel !== 'rst') this.#toClient.send('rst', this.#latency());
    } else if (parcel === 'rst') {
      this.gone = true;
    } else if (this.#host.server.reads && this.#unread.length === 0) {
      this.#read(parcel);
    } else {
      this.#unread.push(parcel);
    }
  }

  #read(parcel: Parcel): void {
    const { server, clock } = this.#host;
    if (parcel === 'fin') {
      if (server.polite) clock.after(server.latency, () => this.end());
    } else if (Buffer.isBuffer(parcel)) {
      if (!this.link.handed.take(parcel)) {
        this.#host.complain(`link ${this.link.number} brought bytes that were not written next: ${parcel.toString()}`);
      }
      this.#toClient.send(parcel.length, this.#latency());
      if (this.onBytes !== undefined) this.onBytes(parcel, server.answers);
      else if (server.answers) this.#answer(parcel.length);
    }
  }

  #sayAnswer(): void {
    this.#answering = false;
    this.say(1);
  }

  #answer(bytes: number): void {
    if (this.#greeting.length === 0) {
      // One line for all that comes at about the same time.
      if (!this.#answering) this.#host.clock.after(PAUSE, () => this.#sayAnswer());
      this.#answering = true;
      return;
    }
    this.#greeting = this.#greeting.subarray(bytes);
    if (this.#greeting.length > 0) return;
    this.transmit(WELCOME);
    if (this.#host.random.chance(0.5)) this.say(2);
  }

  #latency(): number {
    const { server, random } = this.#host;
    return random.integer(0, server.latency);
  }
}
