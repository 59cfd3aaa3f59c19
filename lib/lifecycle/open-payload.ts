import { isIP } from 'node:net';
import { inspect } from 'node:util';

import type { ResolvedTarget } from '../options/target';
import { type Established, type Transport, addressed } from '../socket/transport';

const REMOTE = ['remoteAddress', 'remotePort'] as const;

type Remote = { readonly [Name in (typeof REMOTE)[number]]?: Transport[Name] };

/**
 * The payload of `open`. The peer's address and port are accessors where this library has dialled it: they ask the socket
 * when one of them is first read, and remember the answer. That saves a system call and memory where nothing reads them. The
 * local ones are known already: the check for a socket that is connected to itself has asked for them.
 */
export class OpenPayload {
  /** Shared by all payloads, so that these have one hidden class. Where `this` is another object, there is no address. */
  static readonly #accessors = REMOTE.map((name) => ({
    name,
    attributes: {
      enumerable: true,
      get(this: object) {
        return #source in this ? OpenPayload.#remoteOf(this)[name] : undefined;
      },
    },
  }));

  readonly generation: number;
  readonly reopened: boolean;
  readonly attempts: number;
  readonly downtime: number;
  // Declared only: absent where there is none.
  declare readonly localAddress?: string;
  declare readonly localPort?: number;
  /** The socket, or what it has answered; undefined where the session was over before it was asked. */
  #source: Transport | { readonly answer: Remote } | undefined;
  readonly #target: ResolvedTarget;

  constructor(
    { transport, isOwn, target }: Established,
    generation: number,
    reopened: boolean,
    attempts: number,
    downtime: number,
  ) {
    this.generation = generation;
    this.reopened = reopened;
    this.attempts = attempts;
    this.downtime = downtime;
    this.#target = target;
    const known = addressed(transport);
    if (known.localAddress !== undefined) this.localAddress = known.localAddress;
    if (known.localPort !== undefined) this.localPort = known.localPort;
    if (isOwn && 'host' in target) {
      this.#source = transport;
      for (const { name, attributes } of OpenPayload.#accessors) Object.defineProperty(this, name, attributes);
      return;
    }
    for (const name of REMOTE) {
      if (known[name] !== undefined) Object.defineProperty(this, name, { value: known[name], enumerable: true });
    }
  }

  /** The session is over: the payload does not keep the socket in memory. */
  release(): void {
    if (this.#source !== undefined && !('answer' in this.#source)) this.#source = undefined;
  }

  /** Node would print `[Getter]` in place of an address. */
  [inspect.custom](): object {
    return Object.fromEntries(Object.entries(this));
  }

  static #remoteOf(payload: OpenPayload): Remote {
    const source = payload.#source;
    if (source !== undefined && 'answer' in source) return source.answer;
    const { remoteAddress, remotePort } = source === undefined ? {} : addressed(source);
    const answer = remoteAddress === undefined ? dialled(payload.#target) : { remoteAddress, remotePort };
    payload.#source = { answer };
    return answer;
  }
}

/** What is known without the socket: of a name, not which of its addresses it was. */
function dialled(target: ResolvedTarget): Remote {
  if (!('host' in target)) return {};
  return { ...(isIP(target.host) !== 0 && { remoteAddress: target.host }), remotePort: target.port };
}
