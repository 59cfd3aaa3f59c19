import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';

import { ReconnectingConnection, constantBackoff } from 'reconnecting-connection';
import { DeliveryWindow } from 'reconnecting-connection/delivery';

import { Clock, turn } from './clock';
import { Collector, frame } from './collector';
import { Disk } from './disk';
import { Violation, violationOf } from './model';
import { type Fault, Network } from './network';
import { Random } from '../kit/random';

/** What a run of a delivery window came to. */
export interface DeliveryResult {
  readonly violation: Violation | undefined;
  readonly trace: readonly string[];
  /** That have arrived. */
  readonly messages: number;
  /** How often what happened. */
  readonly seldom: ReadonlyMap<string, number>;
}

/** Breaks something on purpose, for the checks to find. */
export type DeliverySabotage = (world: DeliveryWorld) => void;

const CLOSE_TIMEOUT = 100;

const FAULTS: Partial<Record<Fault, number>> = {
  fin: 6,
  rst: 6,
  partition: 2,
  heal: 6,
  refuse: 3,
  ignore: 2,
  acceptFin: 2,
  acceptRst: 2,
  accept: 8,
  mute: 2,
  answer: 4,
  stall: 2,
  unstall: 4,
  rude: 1,
  slow: 1,
  fast: 1,
  crash: 2,
  restart: 3,
};

/** A window, and a spool where there is one, on a network that breaks and in a process that crashes. */
export async function runDelivery(seed: number, steps: number, sabotage?: DeliverySabotage): Promise<DeliveryResult> {
  const world = new DeliveryWorld(seed);
  let violation: Violation | undefined;
  try {
    sabotage?.(world);
    await world.walk(steps);
    await world.finish();
  } catch (error) {
    violation = violationOf(error);
  } finally {
    await world.leave();
  }
  const { trace, seldom, collector } = world;
  if (collector.duplicates > 0) seldom.set('duplicate', collector.duplicates);
  return { violation, trace, seldom, messages: collector.have };
}

/** Iterations of the loop at one time: without any latency, all that a window keeps may go out at once, in small pieces. */
const HOT = 300_000;

/** Rounds of half a second in which something has to arrive while all is well. */
const STILL = 40;

/** Bytes of the number that each message begins with. */
const NUMBER = 4;

export class DeliveryWorld {
  readonly trace: string[] = [];
  readonly seldom = new Map<string, number>();
  readonly network: Network;
  readonly collector: Collector;
  readonly disk: Disk | undefined;
  readonly #clock = new Clock(HOT);
  readonly #random: Random;
  readonly #filler: Buffer;
  readonly #maxBytes: number;
  readonly #idleTimeout: number;
  /** The number of the message at each position. A crash may take the last of them back. */
  readonly #numbers: number[] = [];
  #number = 0;
  #violation: Violation | undefined;
  #connection!: ReconnectingConnection;
  #window!: DeliveryWindow<Buffer>;
  #hasRoom = true;
  /** Whether the disk has been full. */
  #hasFilled = false;

  constructor(seed: number) {
    const random = new Random(seed).fork(6);
    this.#random = random;
    const chance = random.fork(1);
    this.#clock.install(() => chance.next());
    this.network = new Network(this.#clock, random.fork(2), 1, false, 0);
    this.network.complain = (message) => this.#fail('sent', message);
    this.collector = new Collector(this.network, random.fork(3), this, random.chance(0.5));
    this.disk = random.chance(0.6) ? new Disk(this.#clock, random.fork(4)) : undefined;
    this.#filler = random.bytes(200);
    this.#maxBytes = random.of([1_000, 20_000, 200_000, 2_000_000]);
    this.#idleTimeout = random.of([0, 1_000]);
    this.#start();
  }

  // Called by the collector.

  isMessage(position: number, message: Buffer): boolean {
    return message.readUInt32BE(0) === this.#numbers[position];
  }

  complain(rule: string, message: string): void {
    this.#fail(rule, message);
  }

  async walk(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      await this.#step();
      this.#check();
    }
  }

  /** Heals the world, and sees that all arrives and is acknowledged. */
  async finish(): Promise<void> {
    const window = this.#window;
    this.network.healAll();
    if (this.disk !== undefined) this.disk.isFull = false;
    if (this.#random.chance(0.1)) {
      this.#checkHandedBack(window.close());
      return;
    }
    // Some links take one message at a time, and a third of a second for it.
    let seen = 0;
    for (let still = 0; still < STILL && (window.first !== window.next || window.stats.state !== 'ready'); still++) {
      await this.#clock.pass(500);
      this.collector.acknowledge();
      this.#check();
      const { have, duplicates } = this.collector;
      if (have + duplicates > seen) still = 0;
      seen = have + duplicates;
    }
    await this.#clock.settle();
    this.#check();
    if (window.first !== window.next) this.#fail('recovery', `${window.next - window.first} are not acknowledged`);
    if (this.collector.have !== window.next - 1)
      this.#fail('lost', `${this.collector.have} of ${window.next - 1} have arrived`);
    if (!this.#hasRoom) this.#fail('drain', '`send` returned false, and no `drain` came');
    this.#checkHandedBack(window.close());
    this.#check();
  }

  async leave(): Promise<void> {
    this.#connection.destroy();
    await turn();
    this.#clock.uninstall();
  }

  /** A process begins, with what the one before it has kept. */
  #start(): void {
    const { disk, collector } = this;
    const connection = new ReconnectingConnection({
      dial: () => this.network.dial(1),
      port: 1,
      backoff: constantBackoff(30),
      connectTimeout: 400,
      closeTimeout: CLOSE_TIMEOUT,
      idleTimeout: this.#idleTimeout,
      queue: { maxBytes: 2_000 },
      ...(collector.greets && {
        handshake: async (socket, { signal }) => {
          window.forget(await readPosition(socket, signal));
        },
      }),
    });
    const window = new DeliveryWindow<Buffer>(connection, {
      encode: (position, message) => {
        if (position >= (disk?.end ?? Infinity)) this.#fail('spool', `${position} is sent before it is kept`);
        return frame(position, message);
      },
      maxBytes: this.#maxBytes,
      spool: disk?.open(),
    });
    let rest: Buffer = Buffer.alloc(0);
    connection.on('open', () => (rest = Buffer.alloc(0)));
    connection.on('reset', ({ reason }) => this.#count(`reset ${reason}`));
    connection.on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (; rest.length >= 4; rest = rest.subarray(4)) window.acknowledge(rest.readUInt32BE(0));
    });
    window.on('drain', () => (this.#hasRoom = true));
    window.on('error', (error) => {
      this.#count('disk full');
      if (!this.#hasFilled) this.#fail('error', String(error));
    });
    this.#connection = connection;
    this.#window = window;
    this.#hasRoom = true;
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const connection = this.#connection;
    const what = random.weighted({
      send: 10,
      fault: 4,
      pass: 8,
      reconnect: 0.5,
      replace: 0.5,
      stop: 0.3,
      crash: 0.5,
      fill: 0.3,
      freeze: 0.1,
    });
    this.#say(what);
    switch (what) {
      case 'send': {
        this.#send(random.integer(1, random.of([1, 30, 1_000, 10_000])));
        return;
      }
      case 'fault': {
        // `as`: a part of the names has a weight.
        this.network.inject(this.#say(random.weighted(FAULTS as Record<Fault, number>)), 0);
        return;
      }
      case 'pass':
        return this.#clock.pass(random.integer(0, random.of([0, 5, 100, 2_000])));
      case 'freeze':
        return this.#clock.freeze(random.integer(1, 3_000));
      case 'reconnect': {
        connection.reconnect();
        return;
      }
      case 'replace':
        // The peer is asked for its position while the session before still sends: of this it knows nothing.
        if (!this.collector.greets) connection.replace().catch(() => undefined);
        return;
      case 'stop':
        await Promise.all([connection.disconnect(), this.#clock.pass(CLOSE_TIMEOUT + 2)]);
        {
          connection.connect();
          return;
        }
      case 'fill':
        if (this.disk !== undefined) {
          this.disk.isFull = !this.disk.isFull;
          this.#hasFilled = true;
        }
        return;
      case 'crash':
        if (this.disk !== undefined) this.#crash(this.disk);
    }
  }

  #send(count: number): void {
    const window = this.#window;
    for (let sent = 0; sent < count && this.#hasRoom && window.stats.state === 'ready'; sent++) {
      const message = Buffer.from(this.#filler.subarray(0, this.#random.integer(NUMBER, NUMBER + 20)));
      message.writeUInt32BE((this.#number += 1), 0);
      this.#numbers[window.next] = this.#number;
      try {
        this.#hasRoom = window.send(message);
      } catch (error) {
        // A message larger than those before may not fit where each of these would.
        if ((error as NodeJS.ErrnoException).code !== 'ERR_QUEUE_FULL') this.#fail('send', String(error));
        this.#count('refused');
        this.#hasRoom = false;
      }
      message.fill(0);
    }
  }

  /** The process is no more: its kernel resets what it had open. */
  #crash(disk: Disk): void {
    this.#window.close();
    this.#connection.destroy();
    disk.crash();
    // Later positions are given to other messages.
    this.#numbers.length = Math.min(this.#numbers.length, disk.end);
    if (this.collector.have >= disk.end) this.#fail('spool', `${this.collector.have} had arrived, and is not kept`);
    this.#start();
  }

  #checkHandedBack(messages: readonly { readonly position: number; readonly message: Buffer }[]): void {
    const { first, next } = this.#window;
    const positions = messages.map(({ position }) => position);
    if (positions.join() !== Array.from({ length: next - first }, (_, index) => first + index).join()) {
      this.#fail('close', `it hands back ${positions.length} messages of ${first} to ${next}`);
    }
    const other = messages.find(({ position, message }) => message.readUInt32BE(0) !== this.#numbers[position]);
    if (other !== undefined) this.#fail('close', `${other.position} is another message`);
  }

  /** Holds at any time. */
  #check(): void {
    const { first, next, stats } = this.#window;
    const { taken, replayed, acknowledged, unacknowledged } = stats;
    if (taken + replayed !== acknowledged + unacknowledged.messages) this.#fail('stats', JSON.stringify(stats));
    if (unacknowledged.messages !== next - first) this.#fail('stats', `${first} to ${next}: ${JSON.stringify(stats)}`);
    if (first > this.collector.have + 1)
      this.#fail('lost', `${first} is the first, and the peer has ${this.collector.have}`);
    if (unacknowledged.bytes > this.#maxBytes)
      this.#fail('bound', `${unacknowledged.bytes} of ${this.#maxBytes} bytes`);
    if (this.collector.greets && this.collector.duplicates > 0) this.#fail('duplicates', 'one came again');
    const [accident] = this.#clock.uncaught;
    if (accident !== undefined) this.#fail('uncaught', inspect(accident));
    if (this.#violation !== undefined) throw this.#violation;
  }

  #say<Text extends string>(what: Text): Text {
    this.trace.push(`${this.#clock.now} ${what}`);
    this.#count(what);
    return what;
  }

  #count(what: string): void {
    this.seldom.set(what, (this.seldom.get(what) ?? 0) + 1);
  }

  #fail(rule: string, message: string): void {
    this.trace.push(`${this.#clock.now} ! ${rule}: ${message}`);
    this.#violation ??= new Violation(rule, message);
  }
}

/** Reads the acknowledgement that a session begins with. */
async function readPosition(socket: Duplex, signal: AbortSignal): Promise<number> {
  let bytes: Buffer = Buffer.alloc(0);
  while (bytes.length < 4) {
    await once(socket, 'readable', { signal });
    // `as`: the stream has no encoding. Not `read(4)`: with less than that there, the event would come again at once.
    bytes = Buffer.concat([bytes, (socket.read() as Buffer | null) ?? Buffer.alloc(0)]);
  }
  if (bytes.length > 4) socket.unshift(bytes.subarray(4));
  return bytes.readUInt32BE(0);
}
