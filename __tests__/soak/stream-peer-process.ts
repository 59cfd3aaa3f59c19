import { type AddressInfo, type Socket, createServer } from 'node:net';
import { TLSSocket, createServer as createTlsServer } from 'node:tls';

import { Random } from '../kit/random';
import { FrameReader, frame } from '../conformance/frames';
import { type Arrivals, ASK, FRAMES_A_CONNECTION, HELLO, type Request, type StreamWish } from './stream-peer';

// The program of a `StreamPeer`. `as`: written by `StreamPeer.start`.
const wish = JSON.parse(process.argv[2]!) as StreamWish;
const talks: Talk[] = [];

/** One connection: what came on it, and what is sent. */
class Talk {
  readonly frames: number[] = [];
  torn: string | undefined;
  readonly socket: Socket;
  readonly #random: Random;
  readonly #first: number;
  readonly #reader = new FrameReader();
  #sent = 0;

  constructor(socket: Socket, connection: number) {
    this.socket = socket;
    this.#first = connection * FRAMES_A_CONNECTION;
    this.#random = new Random(wish.seed).fork(connection);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.#onChunk(chunk));
    this.#send(16);
    this.#speak();
  }

  #onChunk(chunk: Buffer): void {
    try {
      for (const number of this.#reader.push(chunk)) {
        this.frames.push(number);
        if (number >= ASK && number < HELLO) this.#send(16);
      }
    } catch (error) {
      this.torn ??= String(error);
      this.socket.destroy();
    }
    // Slow at times, so that the client meets with backpressure.
    if (!this.#random.chance(0.01) || this.socket.destroyed) return;
    this.socket.pause();
    setTimeout(() => this.socket.resume(), this.#random.integer(10, 300));
  }

  /** Frames in bursts, as fast as they are taken; silence now and then. */
  #speak(): void {
    if (!this.socket.writable) return;
    let room = true;
    for (let left = this.#random.integer(1, 12); left > 0 && room; left--) room = this.#send(this.#size());
    const rest = this.#random.chance(0.01) ? this.#random.integer(200, 700) : this.#random.integer(1, 25);
    if (room) setTimeout(() => this.#speak(), rest);
    else this.socket.once('drain', () => this.#speak());
  }

  #size(): number {
    const kind = this.#random.weighted({ small: 70, medium: 25, large: 5 });
    return this.#random.integer(16, { small: 256, medium: 8_192, large: 65_536 }[kind]);
  }

  #send(bytes: number): boolean {
    return this.socket.writable && this.socket.write(frame(this.#first + this.#sent++, bytes));
  }
}

/** Returns how many connections there were. */
function hangUp(how: 'end' | 'reset'): number {
  for (const { socket } of talks) {
    if (how === 'end') socket.end();
    // There is no reset to be had of a TLS socket.
    else if (socket instanceof TLSSocket) socket.destroy();
    else socket.resetAndDestroy();
  }
  return talks.length;
}

function answer(request: Request): unknown {
  switch (request.ask) {
    case 'hang up':
      return hangUp(request.how);
    case 'has':
      return talks.some(({ frames }) => frames.includes(request.frame));
    case 'live':
      return talks.filter(({ socket }) => !socket.destroyed).length;
    case 'arrivals':
      return talks.map(({ frames, torn }, index): Arrivals => ({
        connection: index + 1,
        frames,
        ...(torn !== undefined && { torn }),
      }));
  }
}

process.on('message', (message) => {
  // `as`: the parent sends nothing else.
  const request = message as Request;
  process.send?.({ id: request.id, answer: answer(request) });
});
// No parent, no peer.
process.on('disconnect', () => process.exit());

const serve = (socket: Socket) => void talks.push(new Talk(socket, talks.length + 1));
const server = wish.tls === undefined ? createServer(serve) : createTlsServer(wish.tls, serve);
server.on('tlsClientError', () => {});
// `as`: it listens at a port.
server.listen(0, '127.0.0.1', () => process.send?.({ id: 0, answer: (server.address() as AddressInfo).port }));
