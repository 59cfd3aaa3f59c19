import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

import { type ConnectionOptions, ReconnectingConnection } from '../../lib/index';
import { type Certificates, loadCertificates } from '../kit/certificates';
import { compiled } from '../kit/compiled';
import { until } from '../kit/until';
import { Faults } from './faults';
import { Random } from '../kit/random';
import type { Sightings, WireAnswer, WireOrder } from './wire';

/** What came of a run. */
export interface SessionsReport {
  readonly seed: number;
  readonly sessions: number;
  /** What the relay saw between the connections and their TLS server. */
  readonly secure: Sightings;
  /** What it saw of a connection without TLS, to prove that it would see. */
  readonly plain: Sightings;
  readonly faults: number;
  readonly lines: readonly string[];
}

/** In all that is written. */
const MARKER = 'marker-of-the-application';

/** Connections at a time: with a handshake that writes, with a `dial` under TLS, with both, with neither. */
const CLIENTS = 8;

/** Has TLS sessions come and go through a relay that looks for anything readable. */
export async function watchSessions(count: number, seed: number): Promise<SessionsReport> {
  const faults = new Faults().watchProcess();
  const certificates = await loadCertificates();
  const child = fork(await compiled('fuzz/wire'));
  const order = (what: WireOrder) => void child.send(what);
  const ask = async (what: WireOrder) => {
    order(what);
    // `as`: what a process is asked for, it answers.
    const [answer] = (await once(child, 'message')) as [WireAnswer];
    return answer;
  };
  const ports = await ask({ open: certificates, marker: MARKER });
  if (!('port' in ports)) throw new Error('The relay did not say where it is');
  const clients = Array.from({ length: CLIENTS }, (_, number) => new Client(number, ports.port, certificates, faults));

  const random = new Random(seed);
  const sessions = () => clients.reduce((sum, { generation }) => sum + generation, 0);
  while (sessions() < count) {
    const before = sessions();
    disturb(random, clients, order);
    await until(() => sessions() > before, { deadline: 20_000 });
  }
  for (const client of clients) await client.end();
  const control = new Client(0, ports.plainPort, undefined, faults);
  await until(() => control.generation === 1 && control.echoes > 0);
  await control.end();

  const report = await ask({ report: true });
  child.kill();
  if (!('secure' in report)) throw new Error('The relay did not say what it saw');
  return { seed, sessions: sessions(), ...report, faults: faults.count, lines: faults.lines };
}

/** What makes sessions end, and attempts fail in the middle of their handshake. */
function disturb(random: Random, clients: readonly Client[], order: (what: WireOrder) => void): void {
  const client = clients[random.below(clients.length)]!;
  switch (random.below(6)) {
    case 0:
      return order({ cutAll: 'end' });
    case 1:
      // Into the server's handshake, which is some 900 bytes long: into its first record, or a later one.
      order({ cutAfter: Array.from({ length: CLIENTS }, () => 1 + random.below(700)) });
      return order({ cutAll: 'reset' });
    case 2:
      order({ cutAll: 'reset' });
      return client.write();
    case 3:
      client.reconnect();
      // Queued while it is down.
      return client.write();
    default:
      for (const each of clients) {
        each.write();
        each.reconnect();
        each.write();
      }
  }
}

/** A connection that writes the marker whenever it may, and looks at every session of its own. */
class Client {
  readonly #connection: ReconnectingConnection;
  echoes = 0;

  constructor(number: number, port: number, certificates: Certificates | undefined, faults: Faults) {
    this.#connection = new ReconnectingConnection(optionsOf(number, port, certificates));
    this.#connection.on('open', () => {
      const { socket } = this.#connection;
      const secure = socket instanceof TLSSocket && socket.authorized;
      if (certificates !== undefined && !secure) faults.add('a session without TLS', { number });
      this.write();
    });
    this.#connection.on('data', () => (this.echoes += 1));
    this.write();
  }

  get generation(): number {
    return this.#connection.generation;
  }

  write(): void {
    this.#connection.write(`${MARKER};`);
  }

  reconnect(): void {
    this.#connection.reconnect();
  }

  async end(): Promise<void> {
    await this.#connection.disconnect();
  }
}

function optionsOf(number: number, port: number, certificates: Certificates | undefined): ConnectionOptions {
  return {
    port,
    backoff: { initialDelay: 10, maxDelay: 20 },
    minUptime: 0,
    ...(certificates && { tls: { ca: certificates.ca.cert } }),
    ...(number % 2 === 1 && { handshake }),
    ...(number % 4 >= 2 && { dial: () => connect(port, '127.0.0.1') }),
  };
}

async function handshake(socket: Duplex): Promise<void> {
  socket.write(`${MARKER} in the handshake;`);
  await once(socket, 'data');
}
