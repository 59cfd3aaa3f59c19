import type { LookupAddress } from 'node:dns';
import { type LookupFunction, isIP } from 'node:net';

import type { Refable } from '../timers/deadline';
import { toError } from '../errors';
import { answerFirst, answerWith, lookUp } from '../socket/lookup';
import { applyOptions, openSocket, secure } from '../socket/open-socket';
import { AddressRace } from './address-race';
import type { DialGate } from './dial-gate';
import { AttemptFailure, selfConnected } from './failure';
import { type GatedDialObserver, GatedDial } from './gated-dial';
import {
  type Transport,
  type TransportHandler,
  clearHandler,
  destroyTransport,
  enableEvents,
  isHandledBy,
  isSelfConnected,
  resetTransport,
  setHandler,
  setTransportRef,
} from '../socket/transport';
import { fastReadFor } from '../socket/fast-read';
import { layOver } from '../socket/layer';
import type { Settings } from '../options/settings';
import { type ResolvedTarget, tagOf } from '../options/target';

/** The attempt that a connector works for. */
export interface ConnectorObserver {
  /** The transport is connected, and `beforeTls` is to run on it; then `proceed()` goes on. */
  onConnected(transport: Transport): void;
  /** The transport is connected, and encrypted where it should be. */
  onReady(transport: Transport): void;
  /** The transport has failed, and closes. */
  onError(error: Error): void;
  /** The transport has closed. */
  onClose(): void;
  /** The dial has failed in another way. */
  onFailure(failure: AttemptFailure): void;
}

/** Milliseconds, both: https://www.rfc-editor.org/rfc/rfc8305#section-8. */
const ATTEMPT_DELAY = 250;
const LEAST_ATTEMPT_DELAY = 10;

/** Shorter where all would not be dialled in the first half of `connectTimeout`: the last may be the only good one. */
function attemptDelay(addresses: number, connectTimeout: number): number {
  const half = connectTimeout === 0 ? Infinity : connectTimeout / 2;
  return Math.max(LEAST_ATTEMPT_DELAY, Math.min(ATTEMPT_DELAY, half / (addresses - 1)));
}

/** Connects one transport to a target, encrypts it, and guards it until it is handed over. */
export class Connector implements Refable, TransportHandler, GatedDialObserver {
  readonly #target: ResolvedTarget;
  readonly #settings: Settings;
  /** Undefined without a gate: then nothing is measured. */
  readonly #gated: GatedDial | undefined;
  readonly #observer: ConnectorObserver;
  #ref: boolean;
  /** Where the target's host is a name with several addresses, until one of them has connected. */
  #race: AddressRace | undefined;
  #transport: Transport | undefined;
  /** What is done: nothing, `beforeTls`, or TLS as well. */
  #stage: 'dial' | 'beforeTls' | 'tls' = 'dial';
  /** The transport that has connected last. */
  #connected: Transport | undefined;
  #isOwn: boolean;
  #isOver = false;

  constructor(
    target: ResolvedTarget,
    settings: Settings,
    gate: DialGate | undefined,
    slowAfter: number | undefined,
    ref: boolean,
    observer: ConnectorObserver,
  ) {
    this.#target = target;
    this.#settings = settings;
    this.#gated = gate && new GatedDial(gate, target, slowAfter, ref, this);
    this.#ref = ref;
    this.#observer = observer;
    this.#isOwn = settings.dial === undefined;
  }

  /** Whether the transport is a socket that this library has opened. */
  get isOwn(): boolean {
    return this.#isOwn;
  }

  /**
   * Opens a socket, and others beside it: to the other addresses of a name, or a second one to a single address that is
   * slow. Not both, which would be twice as many.
   */
  open(): void {
    const target = this.#target;
    // Packets to a Unix socket are not lost.
    if (!('host' in target)) return this.guard(this.#open(undefined));
    if (isIP(target.host) !== 0) return this.#openHedged(undefined);
    lookUp(target.host, this.#settings.socket, (error, addresses) => {
      if (this.#isOver) return;
      try {
        if (error !== undefined) throw error;
        const [only, ...others] = addresses;
        if (only !== undefined && others.length === 0) this.#openHedged(answerWith(only));
        else this.#openAll(target, addresses);
      } catch (thrown) {
        this.#observer.onFailure(new AttemptFailure('error', toError(thrown)));
      }
    });
  }

  #openHedged(lookup: LookupFunction | undefined): void {
    const socket = this.#open(lookup);
    this.#gated?.watch(true);
    this.guard(socket);
  }

  #openAll(target: ResolvedTarget & { port: number }, addresses: readonly LookupAddress[]): void {
    this.#gated?.watch(false);
    const { socket, connectTimeout } = this.#settings;
    this.#race = new AddressRace({
      target,
      addresses,
      delay: socket.autoSelectFamilyAttemptTimeout ?? attemptDelay(addresses.length, connectTimeout),
      ref: this.#ref,
      open: (address) => this.#open(answerWith(address)),
      onConnect: (transport, since) => {
        this.#gated?.onFirst(since);
        this.guard(transport);
      },
      onFailure: (error) => this.#observer.onFailure(new AttemptFailure('error', error)),
    });
  }

  /** Guards `transport`, which may be connected or destroyed already, in place of the one before. */
  guard(transport: Transport): void {
    this.#leave();
    this.#transport = transport;
    setHandler(transport, this);
    if (!this.#ref) setTransportRef(false, transport);
    // A `dial` of the application's may have ended the attempt.
    if (this.#isOver) return this.destroy();
    if (transport.destroyed) {
      // `errored` may be undefined on streams that are not Node's.
      if (transport.errored) this.onError(transport.errored);
      return this.onClose();
    }
    if (transport.secureConnecting === true) enableEvents(transport, 'secureConnect');
    if (transport.connecting === true) enableEvents(transport, 'connect');
    else this.onConnect();
  }

  /** `beforeTls` is done, and has perhaps brought a stream that takes the transport's place. */
  proceed(outer: Transport | undefined): void {
    this.#stage = 'beforeTls';
    if (outer === undefined) this.#onReady();
    else this.replace(outer);
  }

  /** Goes on with a stream of the application's in the transport's place, once that is connected and encrypted. */
  replace(outer: Transport): void {
    this.#isOwn = false;
    this.#cover(outer);
  }

  /** Hands the transport over as it is. */
  stop(): void {
    this.#isOver = true;
    this.#race?.clear();
    this.#gated?.stop();
    this.#leave();
  }

  get transport(): Transport | undefined {
    return this.#transport;
  }

  /** Destroys the transport, unless it has another owner by now. */
  destroy(): void {
    const transport = this.#transport;
    const isHeld = transport !== undefined && isHandledBy(transport, this);
    this.stop();
    if (isHeld) destroyTransport(transport);
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    if (this.#transport !== undefined) setTransportRef(ref, this.#transport);
    this.#race?.setRef(ref);
    this.#gated?.setRef(ref);
  }

  /** Reports to the gate that the attempt has failed, unless the dial had connected by then. */
  reportFailure(failure: AttemptFailure): void {
    this.#gated?.onFailure(failure);
  }

  // Events of the transport.

  onConnect(): void {
    const transport = this.#transport!;
    // A SOCKS client, for one, emits `connect` on a connected socket that it is given.
    if (this.#connected === transport) return;
    this.#connected = transport;
    // Before TLS begins: otherwise it would be greeted with its own greeting.
    const dialled = this.#settings.dial === undefined && 'port' in this.#target ? this.#target.port : undefined;
    if (isSelfConnected(transport, dialled)) {
      resetTransport(transport);
      this.#observer.onFailure(selfConnected(tagOf(this.#target)));
      return;
    }
    this.#gated?.onConnected();
    if (this.#stage === 'dial' && this.#settings.dial !== undefined) {
      try {
        applyOptions(transport, this.#settings.socket);
      } catch (thrown) {
        // These methods are the application's.
        return this.#observer.onFailure(new AttemptFailure('error', toError(thrown)));
      }
    }
    if (transport.secureConnecting !== true) this.#onReady();
  }

  onSecure(): void {
    this.#onReady();
  }

  /** A transport that fails is destroyed, and closes. */
  onError(error: Error): void {
    this.#gated?.clearHedge();
    this.#observer.onError(toError(error));
    destroyTransport(this.#transport!);
  }

  onClose(): void {
    this.#observer.onClose();
  }

  #onReady(): void {
    const transport = this.#transport!;
    const { beforeTls } = this.#settings;
    if (beforeTls !== undefined && this.#stage === 'dial') return this.#observer.onConnected(transport);
    // TLS that is there already may be that of a proxy, where the application goes through one in `beforeTls`.
    const isPlain = beforeTls !== undefined || transport.encrypted !== true;
    const lacksTls = this.#stage !== 'tls' && this.#target.tls !== undefined && isPlain;
    this.#stage = 'tls';
    if (lacksTls) this.#secure(transport);
    else this.#observer.onReady(transport);
  }

  /**
   * Begins TLS when the transport has sent what `beforeTls` or `dial` wrote. Node waits for that too, but then throws,
   * uncaught, if its TLS socket was destroyed meanwhile.
   * https://github.com/nodejs/node/blob/v20.20.2/lib/_tls_wrap.js (`writesIssuedByPrevListenerDone`), the same in 26.
   */
  #secure(transport: Transport): void {
    const begin = () => this.#cover(secure(transport, this.#target));
    if (transport.writableLength === 0) return begin();
    transport.write('', () => {
      if (transport === this.#transport && !this.#isOver && !transport.destroyed) begin();
    });
  }

  #cover(outer: Transport): void {
    layOver(outer, this.#transport!, this.#settings.closeTimeout);
    this.guard(outer);
  }

  // Events of a dial with a gate.

  openSecond(): Transport {
    return this.#open(answerFirst(this.#settings.socket));
  }

  onSecond(second: Transport): void {
    const first = this.#transport;
    this.guard(second);
    if (first !== undefined) destroyTransport(first);
  }

  onSecondError(error: Error): void {
    this.#observer.onFailure(new AttemptFailure('error', error));
  }

  #open(lookup: LookupFunction | undefined): Transport {
    const { socket, beforeTls } = this.#settings;
    const read = fastReadFor(this.#settings, this.#target);
    return openSocket(this.#target, socket, beforeTls !== undefined, lookup, read);
  }

  /** Leaves the transport to the handler that has replaced this one. */
  #leave(): void {
    if (this.#transport !== undefined && isHandledBy(this.#transport, this)) clearHandler(this.#transport);
  }
}
