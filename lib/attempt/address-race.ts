import type { LookupAddress } from 'node:dns';

import { aggregate, toError } from '../errors';
import { debug } from '../events/debug-log';
import { type ResolvedTarget, tagOf } from '../options/target';
import type { Transport } from '../socket/transport';
import { type Refable, Deadline } from '../timers/deadline';
import { type ContenderObserver, Contender } from './contender';

/** The name that is dialled. */
export interface AddressRaceOptions {
  readonly target: ResolvedTarget & { readonly port: number };
  /** In the order in which they are dialled. */
  readonly addresses: readonly LookupAddress[];
  /** Milliseconds without an answer after which the next address is dialled. */
  readonly delay: number;
  readonly ref: boolean;
  readonly open: (address: LookupAddress) => Transport;
  /** A socket, opened at `since` on the clock of `performance.now()`, has connected, and belongs to the caller from now on. */
  readonly onConnect: (transport: Transport, since: number) => void;
  /** All have failed. */
  readonly onFailure: (error: Error) => void;
}

/**
 * Dials the addresses of a name beside each other: the next one after `delay`, or at once when one has failed. The first
 * to connect is kept, and the others are destroyed. Where TLS follows, it begins over that one alone.
 * https://www.rfc-editor.org/rfc/rfc8305#section-5
 */
export class AddressRace implements Refable, ContenderObserver {
  readonly #options: AddressRaceOptions;
  readonly #contenders = new Set<Contender>();
  /** In the order in which they failed. */
  readonly #errors: Error[] = [];
  #dialled = 0;
  #timer: Deadline | undefined;
  #ref: boolean;

  constructor(options: AddressRaceOptions) {
    this.#options = options;
    this.#ref = options.ref;
    this.#dialNext();
  }

  /** Destroys all sockets, and opens no other. */
  clear(): void {
    this.#timer?.clear();
    for (const contender of this.#contenders) contender.drop();
    this.#contenders.clear();
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#timer?.setRef(ref);
    for (const contender of this.#contenders) contender.setRef(ref);
  }

  // Events of a socket.

  onConnect(contender: Contender): void {
    this.#contenders.delete(contender);
    this.clear();
    this.#options.onConnect(contender.transport, contender.since);
  }

  onError(contender: Contender, error: Error): void {
    this.#contenders.delete(contender);
    this.#errors.push(error);
    this.#timer?.clear();
    if (this.#dialled < this.#options.addresses.length) this.#dialNext();
    else if (this.#contenders.size === 0) this.#options.onFailure(aggregate(this.#errors, this.#errors[0]));
  }

  #dialNext(): void {
    const { target, addresses, delay, open, onFailure } = this.#options;
    // `!`: it is called only while there is another.
    const address = addresses[this.#dialled++]!;
    try {
      this.#contenders.add(new Contender(() => open(address), this.#ref, this));
    } catch (thrown) {
      // So it would be with each address.
      this.clear();
      return onFailure(toError(thrown));
    }
    if (this.#dialled === addresses.length) return;
    this.#timer = new Deadline(delay, this.#ref, () => {
      const place = { host: address.address, port: target.port };
      debug?.(undefined, `${tagOf(target)}: no answer from ${tagOf(place)} yet`);
      this.#dialNext();
    });
  }
}
