import {
  type ConnectionOptions,
  type StateName,
  type Target,
  ConnectionError,
  ReconnectingConnection,
} from 'reconnecting-connection';

import { EVENTS } from '../kit/record';
import type { Clock } from './clock';
import type { Link } from './link';
import { Model } from './model';
import type { Network } from './network';
import { type OptionsHost, Functions, LONGEST_WAIT } from './options';
import type { Call, Place, Plan, Setup } from './plan';
import type { Random } from '../kit/random';

/** What the application throws on purpose, to be reported once and no more. */
export class Planned extends Error {}

/** How deep calls from within calls may go. */
const DEEPEST = 4;

/** Events whose first listener may come late. */
const HEARD_LATE: readonly string[] = ['data', 'message'];

/** Places from which a throw is reported as uncaught; elsewhere it is a failure that the library makes something of. */
const REPORTED: readonly Place[] = [...EVENTS, 'told', 'ping'];

/** What a heartbeat writes. */
export const PING = { do: 'write', size: 4, as: 'buffer', parts: 1, told: true, will: undefined } as const;

/** An application around one connection, which does what a plan says from within and from without. */
export class Application implements OptionsHost {
  readonly clock: Clock;
  readonly network: Network;
  readonly random: Random;
  readonly connection: ReconnectingConnection;
  readonly model: Model;
  readonly controller = new AbortController();
  calm = false;
  /** What was thrown on purpose where nobody catches it. */
  thrown = 0;
  /** Promises that were given and have not settled. */
  waiting = 0;
  /** How often each call was made. */
  readonly calls = new Map<string, number>();
  readonly #plan: Plan;
  readonly #visits = new Map<Place, number>();
  readonly #say: (line: string) => void;
  #depth = 0;
  #listens = false;

  constructor(plan: Plan, clock: Clock, network: Network, random: Random, say: (line: string) => void) {
    this.#plan = plan;
    this.clock = clock;
    this.network = network;
    this.random = random;
    this.#say = say;
    const { setup } = plan;
    this.connection = new ReconnectingConnection(this.#options());
    const bounds = { ...setup, maxDelay: LONGEST_WAIT[setup.backoff], isPlain: plan.impulses.length === 0 };
    this.model = new Model(this.connection, clock, network, bounds, say);
    network.complain = (message) => this.model.fail('sent', message);
    if (!setup.listensLate) this.#listen();
    for (const event of EVENTS.filter((each) => !HEARD_LATE.includes(each))) {
      this.connection.on(event, () => this.at(event));
    }
    this.connection.on('open', this.model.onGreeted);
    if (setup.autoConnect) this.model.onAsked();
  }

  at(place: Place): void {
    const visit = (this.#visits.get(place) ?? 0) + 1;
    this.#visits.set(place, visit);
    if (this.calm || this.#depth >= DEEPEST) return;
    for (const impulse of this.#plan.impulses) {
      if (impulse.place !== place || impulse.nth !== visit) continue;
      if (impulse.call.do !== 'throw') this.perform(impulse.call);
      else {
        if (REPORTED.includes(place)) this.thrown += 1;
        throw new Planned(`thrown in ${place}`);
      }
    }
  }

  onDial(port: number, signal: AbortSignal): void {
    this.#say(`${this.clock.now} dial ${port}`);
    this.model.onDial(port, signal);
  }

  onLink(link: Link, signal: AbortSignal): void {
    this.model.onLink(link, signal);
  }

  /** Makes a call, and judges what comes of it at once. */
  perform(call: Call): void {
    this.#say(`${this.clock.now} ${'>'.repeat(this.#depth + 1)} ${describe(call)}`);
    for (const name of namesOf(call, this.connection.state)) this.calls.set(name, (this.calls.get(name) ?? 0) + 1);
    this.#depth += 1;
    try {
      this.#call(call);
    } catch (error) {
      const isExpected = call.do === 'connect' && codeOf(error) === 'ERR_ABORTED' && this.controller.signal.aborted;
      if (!isExpected) this.model.fail('throw', `${call.do} threw ${String(error)}`);
    }
    this.#depth -= 1;
    this.model.ledger.check();
  }

  #call(call: Call): void {
    const { connection, model } = this;
    switch (call.do) {
      case 'write': {
        const { state } = connection;
        const room = model.ledger.write(call, () => this.at('told'));
        if (!room && state !== 'closing' && state !== 'closed') model.owesDrain = true;
        return;
      }
      case 'whenOpen':
        return this.#whenOpen(call.attempts, call.abortAfter);
      case 'connect':
        model.onAsked();
        return connection.connect();
      case 'reconnect':
        model.onReconnect(call.delay ?? 0);
        return call.delay === undefined ? connection.reconnect() : connection.reconnect({ delay: call.delay });
      case 'replace':
        return this.#replace();
      case 'fail':
        return connection.fail(call.how === 'error' ? new Error('bad') : call.how === 'text' ? 'bad' : undefined);
      case 'clearQueue':
        return model.ledger.clear();
      case 'listen':
        return this.#listen();
      case 'disconnect':
        this.waiting += 1;
        void connection.disconnect().then(({ reason }) => {
          this.waiting -= 1;
          this.#say(`${this.clock.now} disconnected ${reason}`);
        });
        return;
      case 'destroy':
        return connection.destroy();
      case 'markHealthy':
        return connection.markHealthy();
      case 'pause':
        model.onPause(true);
        return void connection.pause();
      case 'resume':
        model.onPause(false);
        return void connection.resume();
      case 'ref':
      case 'unref':
        model.held = call.do === 'ref';
        return void connection[call.do]();
      case 'abort':
        return this.#plan.setup.signal ? this.controller.abort() : undefined;
      case 'inspect':
        JSON.stringify(connection);
        return;
      case 'throw':
        return;
    }
  }

  /** From now on it hears what comes. */
  #listen(): void {
    if (this.#listens) return;
    this.#listens = true;
    this.model.listen();
    this.connection.on('data', () => this.at('data'));
    this.connection.on('message', () => this.at('message'));
  }

  #whenOpen(attempts: number, abortAfter: number): void {
    const { connection, model, clock } = this;
    const stop = new AbortController();
    if (abortAfter > 0) clock.after(abortAfter, () => clock.arrive(() => stop.abort()));
    const failures = connection.stats.failures;
    this.waiting += 1;
    void connection.whenOpen({ attempts, ...(abortAfter > 0 && { signal: stop.signal }) }).then(
      ({ generation }) => {
        this.waiting -= 1;
        if (generation > connection.generation || generation < 1) model.fail('whenOpen', `opened as ${generation}`);
      },
      (error: unknown) => {
        this.waiting -= 1;
        const code = codeOf(error);
        if (!(error instanceof Error)) model.fail('whenOpen', `rejected with ${String(error)}`);
        const ended = code === 'ERR_CLOSED' || code === 'ERR_GAVE_UP' || code === 'ERR_ABORTED';
        if (!ended && connection.stats.failures - failures < attempts) {
          model.fail('whenOpen', `rejected after ${connection.stats.failures - failures} failures of ${attempts}`);
        }
      },
    );
  }

  #replace(): void {
    const { connection, model } = this;
    const { state, generation } = connection;
    const isTold = model.generation === generation;
    this.waiting += 1;
    model.onReplace();
    void connection.replace().then(
      (info) => {
        this.waiting -= 1;
        const least = state === 'open' && isTold ? generation + 1 : 1;
        if (info.generation < least) model.fail('replace', `session ${info.generation} replaced ${generation}`);
      },
      (error: unknown) => {
        this.waiting -= 1;
        if (!(error instanceof Error)) model.fail('replace', `rejected with ${String(error)}`);
      },
    );
  }

  #options(): ConnectionOptions {
    const { setup } = this.#plan;
    const functions = new Functions(this, setup);
    return {
      ...(setup.target === 'fixed' ? { port: 1 } : { target: this.#listOf(setup) ?? functions.target }),
      ...(setup.failback && { failback: setup.failback }),
      dial: functions.dial,
      backoff: functions.backoff,
      shouldRetry: functions.shouldRetry,
      minUptime: setup.minUptime,
      maxRetries: setup.maxRetries,
      maxElapsed: setup.maxElapsed,
      maxLifetime: setup.maxLifetime,
      connectTimeout: setup.connectTimeout,
      closeTimeout: setup.closeTimeout,
      idleTimeout: setup.idleTimeout,
      writeTimeout: setup.writeTimeout,
      socket: { allowHalfOpen: setup.halfOpen },
      queue: { maxBytes: setup.maxBytes, maxAge: setup.maxAge, overflow: setup.overflow },
      autoConnect: setup.autoConnect,
      ...(setup.handshake !== 'none' && { handshake: functions.handshake }),
      ...(setup.decoder !== 'none' && { decoder: functions.decoder }),
      ...(setup.signal && { signal: this.controller.signal }),
      ...(setup.heartbeat && { heartbeat: { ...setup.heartbeat, ping: () => this.#ping() } }),
    };
  }

  #listOf({ target, servers }: Setup): Target[] | undefined {
    return target === 'list' ? Array.from({ length: servers }, (_, index) => ({ port: index + 1 })) : undefined;
  }

  #ping(): void {
    this.model.onPing();
    this.at('ping');
    this.perform(PING);
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof ConnectionError ? error.code : undefined;
}

function describe(call: Call): string {
  return Object.values(call).join(' ');
}

/** What a call counts as: itself, what it asks for, and the state in which it was made. */
function namesOf(call: Call, state: StateName): string[] {
  const names = [call.do, `${call.do} while ${state}`];
  if (call.do === 'reconnect' && (call.delay ?? 0) > 0) names.push('reconnect with a delay');
  if (call.do !== 'write') return names;
  if (call.parts > 1) names.push('write of parts');
  return [
    ...names,
    ...Object.entries(call.will ?? {}).flatMap(([name, value]) => (value === false ? [] : [`write with ${name}`])),
  ];
}
