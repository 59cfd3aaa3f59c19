import { inspect } from 'node:util';

import { type Transport, addressed, knowsAddresses } from '../socket/transport';

const NAMES = ['localAddress', 'localPort', 'remoteAddress', 'remotePort'] as const;

type Addresses = Readonly<Record<(typeof NAMES)[number], string | number | undefined>>;

/**
 * The payload of `open`. On a socket, the addresses are accessors that ask it when one of them is first read, and
 * remember: where nothing reads them, that saves two system calls and a tenth of the memory of an idle connection.
 */
export class OpenPayload {
  /** Shared by all payloads, so that these have one hidden class. Where `this` is another object, there is no address. */
  static readonly #accessors = NAMES.map((name) => ({
    name,
    attributes: {
      enumerable: true,
      get(this: object) {
        return #source in this ? OpenPayload.#addressesOf(this)?.[name] : undefined;
      },
    },
  }));

  readonly generation: number;
  readonly reopened: boolean;
  readonly attempts: number;
  readonly downtime: number;
  /** The socket, or what it has answered; undefined where the session was over before it was asked. */
  #source: Transport | { readonly answer: Addresses } | undefined;

  constructor(transport: Transport, generation: number, reopened: boolean, attempts: number, downtime: number) {
    this.generation = generation;
    this.reopened = reopened;
    this.attempts = attempts;
    this.downtime = downtime;
    if (knowsAddresses(transport)) {
      this.#source = transport;
      for (const { name, attributes } of OpenPayload.#accessors) Object.defineProperty(this, name, attributes);
      return;
    }
    const known = addressed(transport);
    for (const name of NAMES) {
      if (known[name] !== undefined) Object.defineProperty(this, name, { value: known[name], enumerable: true });
    }
  }

  /** The session is over: what was not asked is not known, so that the payload does not keep the socket in memory. */
  release(): void {
    if (this.#source !== undefined && !('answer' in this.#source)) this.#source = undefined;
  }

  /** Node would print `[Getter]` in place of an address. */
  [inspect.custom](): object {
    return Object.fromEntries(Object.entries(this));
  }

  static #addressesOf(payload: OpenPayload): Addresses | undefined {
    const source = payload.#source;
    if (source === undefined || 'answer' in source) return source?.answer;
    const { localAddress, localPort, remoteAddress, remotePort } = addressed(source);
    const answer = { localAddress, localPort, remoteAddress, remotePort };
    payload.#source = { answer };
    return answer;
  }
}
