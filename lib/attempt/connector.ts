import { isIP } from 'node:net';

import type { Refable } from '../timers/deadline';
import { toError } from '../errors';
import { applyOptions, openSocket, secure } from '../socket/open-socket';
import type { DialGate } from './dial-gate';
import { AttemptFailure, isLocal, selfConnected, wasConnected } from './failure';
import { HedgedDial } from './hedged-dial';
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

/** Connects one transport to a target, encrypts it, and guards it until it is handed over. */
export class Connector implements Refable, TransportHandler {
  readonly #target: ResolvedTarget;
  readonly #settings: Settings;
  readonly #gate: DialGate | undefined;
  readonly #observer: ConnectorObserver;
  #ref: boolean;
  #transport: Transport | undefined;
  #hedge: HedgedDial | undefined;
  /** When the socket that may connect first was opened; undefined once it has connected. */
  #since: number | undefined = performance.now();
  #secondSince = 0;
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
    ref: boolean,
    observer: ConnectorObserver,
  ) {
    this.#target = target;
    this.#settings = settings;
    this.#gate = gate;
    this.#ref = ref;
    this.#observer = observer;
    this.#isOwn = settings.dial === undefined;
  }

  /** Whether the transport is a socket that this library has opened. */
  get isOwn(): boolean {
    return this.#isOwn;
  }

  /** Opens a socket, and another beside it when that is slow. */
  open(slowAfter: number | undefined): void {
    const socket = this.#open(slowAfter);
    // Without a gate nothing is measured. And packets to a Unix socket are not lost.
    if (this.#gate !== undefined && 'host' in this.#target) {
      if (isIP(this.#target.host) !== 0) this.#hedgeAfter(slowAfter);
      else socket.once('lookup', () => this.#onLookup(slowAfter));
    }
    this.guard(socket);
  }

  /** Guards `transport`, which may be connected or destroyed already, in place of the one before. */
  guard(transport: Transport): void {
    this.#leave();
    this.#transport = transport;
    setHandler(transport, this);
    if (!this.#ref) setTransportRef(false, transport);
    // A `dial` or `lookup` of the application's may have ended the attempt.
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
    this.#hedge?.clear();
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
    this.#hedge?.setRef(ref);
  }

  /** Reports to the gate that the attempt has failed, unless the dial had connected by then. */
  reportFailure(failure: AttemptFailure): void {
    if (wasConnected(failure.error)) this.#reportConnected();
    else if (this.#since !== undefined && !isLocal(failure.error)) {
      this.#gate?.failed(performance.now() - this.#since, failure);
    }
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
    this.#reportConnected();
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
    this.#hedge?.clear();
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
    if (lacksTls) this.#cover(secure(transport, this.#target));
    else this.#observer.onReady(transport);
  }

  #cover(outer: Transport): void {
    layOver(outer, this.#transport!, this.#settings.closeTimeout);
    this.guard(outer);
  }

  #open(slowAfter: number | undefined): Transport {
    const isPlain = this.#settings.beforeTls !== undefined;
    const read = fastReadFor(this.#settings, this.#target);
    return openSocket(this.#target, this.#socketOptions(slowAfter), isPlain, read);
  }

  /** The options of the socket. A `lookup` may answer synchronously, before there is a socket to listen to. */
  #socketOptions(slowAfter: number | undefined): Settings['socket'] {
    const { socket } = this.#settings;
    const { lookup } = socket;
    if (lookup === undefined || this.#gate === undefined) return socket;
    const observed: typeof lookup = (host, options, callback) =>
      lookup(host, options, (...answer) => {
        this.#onLookup(slowAfter);
        callback(...answer);
      });
    return { ...socket, lookup: observed };
  }

  /** The time that a name look-up takes is not part of what is measured, and no sign of a lost packet. */
  #onLookup(slowAfter: number | undefined): void {
    if (this.#hedge !== undefined || this.#since === undefined) return;
    this.#since = performance.now();
    this.#hedgeAfter(slowAfter);
  }

  #hedgeAfter(slowAfter: number | undefined): void {
    const gate = this.#gate;
    if (slowAfter === undefined || gate === undefined || this.#isOver) return;
    this.#hedge = new HedgedDial({
      slowAfter,
      ref: this.#ref,
      acquire: () => {
        const since = Math.max(this.#since ?? 0, this.#secondSince);
        return gate.acquire(this.#target, { slowFor: performance.now() - since });
      },
      open: () => {
        this.#secondSince = performance.now();
        return this.#open(slowAfter);
      },
      onConnect: (second) => {
        const first = this.#transport;
        this.#since = this.#secondSince;
        this.guard(second);
        if (first !== undefined) destroyTransport(first);
      },
      onError: (error) => this.#observer.onFailure(new AttemptFailure('error', error)),
    });
  }

  #reportConnected(): void {
    this.#hedge?.clear();
    const since = this.#since;
    this.#since = undefined;
    // TLS over a custom stream has connected before.
    if (since !== undefined) this.#gate?.connected(performance.now() - since);
  }

  /** Leaves the transport to the handler that has replaced this one. */
  #leave(): void {
    if (this.#transport !== undefined && isHandledBy(this.#transport, this)) clearHandler(this.#transport);
  }
}
