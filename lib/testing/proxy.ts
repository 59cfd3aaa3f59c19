import { once } from 'node:events';
import { type NetConnectOpts, type Server, type Socket, connect, createServer } from 'node:net';

import { checkRecord } from '../options/checks';
import { now } from './clock';
import { type Cut, cutSocket, ignore } from './cut';
import { type CutAfter, type Direction, type Faults, ProxiedLink } from './proxied-link';
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
} from './proxy-options';
import { Waiting } from './until';

/** More than a test looks at, so that a long run does not fill the memory. */
const REMEMBERED = 10_000;

/**
 * A proxy on 127.0.0.1, or on a Unix socket, in front of a server: every link through it suffers what it is told to.
 * It forwards bytes, so TLS goes through it as it is. It runs by the real clock.
 */
export class FaultProxy {
  readonly #options: ProxyOptions;
  readonly #faults: Record<Direction, Faults> = { toTarget: {}, toClient: {} };
  readonly #links = new Set<{ cut(how: Cut): void; link?: ProxiedLink }>();
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
   * Starts a proxy that forwards all as it is.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`; what Node says where it cannot listen
   */
  static async start(options: ProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(checkProxyOptions(options));
    await proxy.accept();
    return proxy;
  }

  /** Where it listens, to be given to a connection. */
  get target(): Place {
    return this.#place;
  }

  /** Where it listens; 0 for a Unix socket. */
  get port(): number {
    return 'port' in this.#place ? this.#place.port : 0;
  }

  /** The proxy in figures. */
  get stats(): ProxyStats {
    return {
      links: this.#links.size,
      accepted: this.#accepted,
      bytes: { ...this.#bytes },
      acceptedAt: [...this.#acceptedAt],
    };
  }

  /**
   * Changes what is done to links, those that are open included. What is not named stays as it was.
   *
   * @param direction - Default: `'both'`.
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  set(faults: Faults, direction: Direction | 'both' = 'both'): void {
    const checked = checkRecord<Faults>('', faults, faultChecks);
    for (const each of checkDirection(direction)) this.#faults[each] = { ...this.#faults[each], ...checked };
    this.#refresh();
  }

  /** Forwards all as it is again: faults, `cutAfter` and `clients` are as at the start. */
  clear(): void {
    this.#faults.toTarget = {};
    this.#faults.toClient = {};
    this.#treatment = 'forward';
    this.#countDown(undefined);
    this.#refresh();
  }

  /**
   * What becomes of clients from now on: they are forwarded, or accepted and cut at once, or accepted and never hear a
   * word (`'blackhole'`).
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  clients(treatment: Treatment): void {
    this.#treatment = checkTreatment(treatment);
  }

  /**
   * Cuts each link, open now or made later, when so many bytes more have gone through it.
   *
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  cutAfter(bytes: number, options: CutAfterOptions = {}): void {
    this.#countDown(checkCutAfter(bytes, options));
  }

  /**
   * Cuts all links now: in good order (`'drop'`, a FIN to both ends) or not (`'reset'`, an RST).
   *
   * @param how - Default: `'reset'`.
   * @returns how many there were
   * @throws ConnectionError `ERR_INVALID_OPTION`
   */
  cut(how: Cut = 'reset'): number {
    checkCut(how, '`how`');
    for (const link of this.#links) link.cut(how);
    return this.#links.size;
  }

  /** Listens no more: dials are refused. Links live on. */
  refuse(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Listens again where it did before. While nobody listens the system may give the port away, which is rare. */
  async accept(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#onClient(client));
    this.#server = server;
    server.listen(this.#place);
    await once(server, 'listening');
    const address = server.address();
    if (typeof address === 'object' && address !== null) this.#place = { port: address.port, host: address.address };
  }

  /** The end, for good: all links are cut. Resolves when they are gone. */
  async close(): Promise<void> {
    this.refuse();
    this.#treatment = 'reset';
    this.cut('reset');
    await this.#waiting.until(
      () => this.#links.size === 0,
      {},
      () => 'the proxy is closed',
    );
  }

  /** `await using`: {@link FaultProxy.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #countDown(cutAfter: CutAfter | undefined): void {
    this.#cutAfter = cutAfter;
    for (const { link } of this.#links) if (link !== undefined) link.cutAfter = cutAfter;
  }

  #refresh(): void {
    for (const { link } of this.#links) link?.refresh();
  }

  #onClient(client: Socket): void {
    this.#accepted += 1;
    this.#acceptedAt.push(performance.timeOrigin + now());
    if (this.#acceptedAt.length > REMEMBERED) this.#acceptedAt = this.#acceptedAt.slice(REMEMBERED / 2);
    client.on('error', ignore);
    if (this.#treatment === 'forward') {
      this.#forward(client);
    } else {
      this.#keep({ cut: (how) => cutSocket(client, how) }, [client]);
      if (this.#treatment === 'blackhole') client.resume();
      else cutSocket(client, this.#treatment);
    }
  }

  #forward(client: Socket): void {
    // `as`: Node's own types ask for a port even where there is a path.
    const target = connect({ ...this.#options.target, allowHalfOpen: true, noDelay: true } as NetConnectOpts);
    // A target that refuses shows as an RST, by way of the link.
    target.on('error', ignore);
    const link = new ProxiedLink(client, target, this.#faults, (direction, bytes) => (this.#bytes[direction] += bytes));
    link.cutAfter = this.#cutAfter;
    this.#keep({ link, cut: (how) => link.cut(how) }, [client, target]);
  }

  /** Keeps a link for as long as one of its sockets is open. */
  #keep(link: { cut(how: Cut): void; link?: ProxiedLink }, sockets: readonly Socket[]): void {
    this.#links.add(link);
    let open = sockets.length;
    for (const socket of sockets) {
      socket.on('close', () => {
        open -= 1;
        if (open > 0) return;
        this.#links.delete(link);
        this.#waiting.changed();
      });
    }
  }
}
