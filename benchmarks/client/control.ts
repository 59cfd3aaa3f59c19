import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

import type { Place } from './endpoint';

/** A line of our own to the peer, beside the clients that are measured. */
export class Control {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async open(place: Place): Promise<Control> {
    const socket = connect({ ...place, noDelay: true });
    await once(socket, 'connect');
    return new Control(socket);
  }

  say(text: string): void {
    this.#socket.write(text);
  }

  /** Resolves when the peer's sinks have got so many bytes. */
  async hasGot(bytes: number): Promise<void> {
    this.say(`await ${bytes}\n`);
    const [answer] = (await once(this.#socket, 'data')) as [Buffer];
    if (Number(answer) !== bytes) throw new Error(`The peer got ${String(answer).trim()} bytes, not ${bytes}`);
  }
}
