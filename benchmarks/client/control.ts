import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

import type { Address } from './endpoint';

/** A connection to the peer that is not measured, for commands. */
export class Control {
  readonly #socket: Socket;
  #expected = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async open(address: Address): Promise<Control> {
    const socket = connect({ ...address, noDelay: true });
    await once(socket, 'connect');
    return new Control(socket);
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  /** Resolves when the peer's sinks have received `more` bytes than at the last call. */
  async received(more: number): Promise<void> {
    this.#expected += more;
    this.send(`await ${this.#expected}\n`);
    const [answer] = (await once(this.#socket, 'data')) as [Buffer];
    if (Number(answer) !== this.#expected) {
      throw new Error(`The peer received ${String(answer).trim()} bytes, not ${this.#expected}`);
    }
  }
}
