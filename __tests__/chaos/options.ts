import { Transform } from 'node:stream';

import {
  type Backoff,
  type ConnectionOptions,
  type Handshake,
  type Target,
  connmanBackoff,
  constantBackoff,
  defaultBackoff,
  exponentialBackoff,
} from 'reconnecting-connection';

import type { Clock } from './clock';
import { Link } from './link';
import type { Network } from './network';
import { HELLO, WELCOME } from './peer';
import type { Place, Setup } from './plan';
import type { Random } from '../kit/random';

/** Who the application's functions belong to. */
export interface OptionsHost {
  readonly clock: Clock;
  readonly network: Network;
  readonly random: Random;
  /** Whether all goes well from now on. */
  readonly calm: boolean;
  /** Runs what the plan has for this place. */
  at(place: Place): void;
  onDial(port: number, signal: AbortSignal): void;
  onLink(link: Link, signal: AbortSignal): void;
}

/** The longest wait of each policy, in milliseconds. */
export const LONGEST_WAIT: Readonly<Record<Setup['backoff'], number>> = {
  default: 10_000,
  constant: 70,
  connman: 128_000,
  full: 4_000,
  equal: 4_000,
  decorrelated: 4_000,
  none: 4_000,
  junk: 2 ** 31 - 1,
};

/** The functions of the connection's options, in the form that `setup` asks for, with all that may go wrong in them. */
export class Functions {
  readonly #host: OptionsHost;
  readonly #setup: Setup;
  readonly #policy: Backoff;

  constructor(host: OptionsHost, setup: Setup) {
    this.#host = host;
    this.#setup = setup;
    this.#policy = this.#policyOf();
  }

  readonly backoff: Backoff = (context) => {
    this.#host.at('delay');
    return this.#policy(context);
  };

  readonly shouldRetry = (): boolean => {
    this.#host.at('judge');
    if (this.#setup.shouldRetry === 'always' || this.#host.calm) return true;
    if (this.#odd(0.05)) throw new Error('shouldRetry throws');
    // `as`: what a function without types may return.
    if (this.#odd(0.05)) return 'perhaps' as never;
    return !this.#odd(0.03);
  };

  readonly target = (): Target | Promise<Target> => {
    this.#host.at('target');
    const { random, network, calm } = this.#host;
    const target: Target = { port: random.integer(1, network.servers.length) };
    if (calm) return target;
    if (this.#odd(0.05)) throw new Error('target throws');
    // `as`: what a function without types may return.
    if (this.#odd(0.05)) return { prot: 1 } as never;
    if (this.#setup.target === 'sync') return target;
    if (this.#odd(0.05)) return Promise.reject(new Error('target rejects'));
    return this.#later(target);
  };

  readonly dial: NonNullable<ConnectionOptions['dial']> = (target, signal) => {
    const { network, random, calm } = this.#host;
    const port = 'port' in target ? target.port : 1;
    this.#host.onDial(port, signal);
    this.#host.at('dial');
    const open = () => {
      const link = network.dial(port);
      this.#host.onLink(link, signal);
      return link;
    };
    if (calm || !this.#odd(this.#setup.oddDials)) return open();
    switch (random.of(['throws', 'rejects', 'late', 'never', 'junk', 'broken', 'open'] as const)) {
      case 'throws':
        throw new Error('dial throws');
      case 'rejects':
        return Promise.reject(new Error('dial rejects'));
      case 'late':
        return this.#later(undefined).then(open);
      case 'never':
        return new Promise(() => undefined);
      case 'junk':
        // `as`: what a function without types may return.
        return {} as never;
      case 'broken':
        return open().destroy();
      case 'open':
        return Promise.resolve(open());
    }
  };

  readonly handshake: Handshake = async (socket) => {
    this.#host.at('handshake');
    const { network, calm } = this.#host;
    if (!(socket instanceof Link)) throw new TypeError('Not the link that `dial` made');
    if (!calm && this.#odd(this.#setup.oddDials / 2)) throw new Error('handshake throws');
    socket.write(HELLO);
    const answer = await (this.#setup.handshake === 'readable' ? readExactly : readFlowing)(socket, WELCOME.length);
    if (!answer.equals(WELCOME)) throw new Error('handshake was answered otherwise');
    network.peerOf(socket)?.sent.take(answer);
  };

  readonly decoder = (): Transform => {
    const { clock, random } = this.#host;
    let rest = '';
    const decoder: Transform = new Transform({
      readableObjectMode: true,
      readableHighWaterMark: random.of([1, 16]),
      transform: (chunk: Buffer, _encoding, callback) => {
        const fails = this.#setup.decoder === 'faulty' && !this.#host.calm;
        if (fails && this.#odd(0.02)) throw new Error('decoder throws');
        if (fails && this.#odd(0.02)) return callback(new Error('decoder fails'));
        if (fails && this.#odd(0.01)) return void decoder.destroy();
        const lines = (rest + chunk.toString('latin1')).split('\n');
        rest = lines.pop()!;
        const put = () => {
          for (const line of lines) decoder.push(line);
          if (fails && this.#odd(0.02)) throw new Error('decoder throws after what it put out');
          callback();
        };
        if (this.#setup.decoder === 'slow') clock.after(random.integer(1, 5), () => clock.arrive(put));
        else put();
      },
    });
    return decoder;
  };

  #odd(share: number): boolean {
    return this.#host.random.chance(share);
  }

  #later<T>(value: T): Promise<T> {
    const { clock, random } = this.#host;
    return new Promise((resolve) => {
      clock.after(random.integer(0, 400), () => clock.arrive(() => resolve(value)));
    });
  }

  #policyOf(): Backoff {
    const { backoff } = this.#setup;
    const bounds = { initialDelay: 40, maxDelay: 4_000 };
    switch (backoff) {
      case 'default':
        return defaultBackoff();
      case 'constant':
        return constantBackoff(70);
      case 'connman':
        return connmanBackoff();
      case 'junk':
        return () => this.#junk();
      case 'full':
      case 'equal':
      case 'decorrelated':
      case 'none':
        return exponentialBackoff({ ...bounds, jitter: backoff });
    }
  }

  #junk(): number | undefined {
    if (this.#host.calm) return 20;
    if (this.#odd(0.03)) return undefined;
    if (this.#odd(0.1)) throw new Error('backoff throws');
    const junk = [NaN, -1, 0, 1e-9, 9.5, 300, 2 ** 31, Infinity, 1e300, '7', null, {}, true, 7n];
    // `as`: what a function without types may return. Waits of days are rare here, for nothing else happens then.
    return this.#host.random.of(this.#odd(0.1) ? junk : [...junk.slice(0, 6), ...junk.slice(9)]) as number;
  }
}

/** The bytes a handshake waits for, by `read()`: what follows stays in the stream. */
async function readExactly(link: Link, size: number): Promise<Buffer> {
  let answer: Buffer | null = null;
  let onReadable = () => {};
  await new Promise<void>((resolve) => {
    onReadable = () => {
      // `as`: a stream without an encoding gives bytes.
      answer ??= link.read(size) as Buffer | null;
      if (answer !== null) resolve();
    };
    link.on('readable', onReadable);
  });
  // Only now, as clean-up after an await goes: the stream turns back to flowing a tick later.
  link.off('readable', onReadable);
  return answer!;
}

/** The same by `data`: what follows is put back. */
function readFlowing(link: Link, size: number): Promise<Buffer> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length < size) return;
      link.off('data', onData);
      if (bytes.length > size) link.unshift(bytes.subarray(size));
      resolve(bytes.subarray(0, size));
    };
    link.on('data', onData);
  });
}
