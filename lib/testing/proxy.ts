import { once } from 'node:events';
import { type NetConnectOpts, type Server, type Socket, connect, createServer } from 'node:net';

import { checkRecord } from '../options/checks';
import { type Cut, cutSocket, ignore } from './cut';
import {
  type CutAfterOptions,
  type Place,
  type ProxyOptions,
  type ProxyStats,
  type Treatment,
  checkCut,
  checkCutAfter,
  checkDirection,
  checkProxyOptions,
  checkTreatment,
  faultChecks,
} from './options';
import { type CutAfter, type Direction, type Faults, ProxiedLink } from './proxied-link';
import { Waiting, now } from './until';

/** The number of `acceptedAt` that are kept, so that a long run does not fill the memory. */
const REMEMBERED = 10_000;

/** A client that was accepted: forwarded, or not. */
interface Client {
  readonly cut: (how: Cut) => void;
  readonly link?: ProxiedLink;
}

/**
 * A proxy on 127.0.0.1, or on a Unix socket, that adds faults to the links through it. It forwards bytes, so TLS passes
 * through unchanged. It runs by the real clock.
 */
export class FaultProxy {
  readonly #options: ProxyOptions;
  readonly #faults: Record<Direction, Faults> = { toTarget: {}, toClient: {} };
  readonly #clients = new Set<Client>();
  readonly #bytes = { toTarget: 0, toClient: 0 };
  readonly #waiting = new Waiting();
  #acceptedAt: number[] = [];
  #accepted = 0;
  #treatment: Treatment = 'forward';
  #cutAfter: CutAfter | undefined;
  #place: Place;
  #server: Server | undefined;

  private constructor(options: ProxyOptions) {
    this.#options = options;
    this.#place = options.path === undefined ? { port: options.port ?? 0, host: '127.0.0.1' } : { path: options.path };
  }

  /**
   * Starts a proxy without faults.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`; Node's error if it cannot listen
   */
  static async start(options: ProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(checkProxyOptions(options));
    await proxy.accept();
    return proxy;
  }

  /** Where it listens, as options of a connection. */
  get target(): Place {
    return this.#place;
  }

  /** The port; 0 for a Unix socket. */
  get port(): number {
    return 'port' in this.#place ? this.#place.port : 0;
  }

  /** Counts of links, clients and bytes. */
  get stats(): ProxyStats {
    return {
      links: this.#clients.size,
      accepted: this.#accepted,
      bytes: { ...this.#bytes },
      acceptedAt: [...this.#acceptedAt],
    };
  }

  /**
   * Changes the faults of all links, open ones included. Faults that are not named stay as they were.
   *
   * @param direction - Default: `'both'`.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  set(faults: Faults, direction: Direction | 'both' = 'both'): void {
    const checked = checkRecord<Faults>('', faults, faultChecks);
    for (const each of checkDirection(direction)) this.#faults[each] = { ...this.#faults[each], ...checked };
    this.#refresh();
  }

  /** Resets all faults, `cutAfter` and `clients`. */
  clear(): void {
    this.#faults.toTarget = {};
    this.#faults.toClient = {};
    this.#treatment = 'forward';
    this.#countDown(undefined);
    this.#refresh();
  }

  /**
   * Decides about clients from now on: they are forwarded, cut at once (`'drop'`, `'reset'`), or accepted and never
   * answered (`'blackhole'`).
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  clients(treatment: Treatment): void {
    this.#treatment = checkTreatment(treatment, '`treatment`');
  }

  /**
   * Cuts each link, open now or made later, after so many more bytes.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  cutAfter(bytes: number, options: CutAfterOptions = {}): void {
    this.#countDown(checkCutAfter(bytes, options));
  }

  /**
   * Cuts all links now: `'drop'` sends a FIN to both ends, `'reset'` an RST.
   *
   * @param how - Default: `'reset'`.
   * @returns the number of links
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  cut(how: Cut = 'reset'): number {
    checkCut(how, '`how`');
    for (const client of this.#clients) client.cut(how);
    return this.#clients.size;
  }

  /** Stops listening, so that dials are refused. Links stay open. */
  refuse(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Listens again at the same place. Meanwhile another process may have taken a port, which is rare. */
  async accept(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#onClient(client));
    this.#server = server.listen(this.#place);
    await once(server, 'listening');
    const address = server.address();
    if (typeof address === 'object' && address !== null) this.#place = { port: address.port, host: address.address };
  }

  /** Stops for good and cuts all links. Resolves when they are closed. */
  async close(): Promise<void> {
    this.refuse();
    this.#treatment = 'reset';
    this.cut('reset');
    const what = () => 'the proxy is closed';
    await this.#waiting.until(() => this.#clients.size === 0, {}, what);
  }

  /** `await using`: {@link FaultProxy.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #countDown(cutAfter: CutAfter | undefined): void {
    this.#cutAfter = cutAfter;
    for (const { link } of this.#clients) if (link !== undefined) link.cutAfter = cutAfter;
  }

  #refresh(): void {
    for (const { link } of this.#clients) link?.refresh();
  }

  #onClient(client: Socket): void {
    this.#accepted += 1;
    this.#acceptedAt.push(performance.timeOrigin + now());
    if (this.#acceptedAt.length > REMEMBERED) this.#acceptedAt = this.#acceptedAt.slice(REMEMBERED / 2);
    client.on('error', ignore);
    if (this.#treatment === 'forward') return this.#forward(client);
    this.#keep({ cut: (how) => cutSocket(client, how) }, [client]);
    if (this.#treatment === 'blackhole') client.resume();
    else cutSocket(client, this.#treatment);
  }

  #forward(client: Socket): void {
    // `as`: Node's types require a port also beside a path.
    const target = connect({ ...this.#options.target, allowHalfOpen: true, noDelay: true } as NetConnectOpts);
    // The link passes a refusal on as an RST.
    target.on('error', ignore);
    const link = new ProxiedLink(client, target, this.#faults, (direction, bytes) => (this.#bytes[direction] += bytes));
    link.cutAfter = this.#cutAfter;
    this.#keep({ link, cut: (how) => link.cut(how) }, [client, target]);
  }

  /** Keeps a client until its sockets are closed. */
  #keep(client: Client, sockets: readonly Socket[]): void {
    this.#clients.add(client);
    let open = sockets.length;
    for (const socket of sockets) {
      socket.on('close', () => {
        open -= 1;
        if (open > 0) return;
        this.#clients.delete(client);
        this.#waiting.changed();
      });
    }
  }
}
