import type { Clock } from './clock';
import { type Manners, Link } from './link';
import { Peer } from './peer';
import type { Random } from '../kit/random';

/** How a server takes those who connect to it. */
type Welcome = 'accept' | 'refuse' | 'ignore' | 'accept-fin' | 'accept-rst' | 'accept-part' | 'self';

/** A server, and the way to it. */
export interface Server {
  readonly port: number;
  readonly peers: Set<Peer>;
  /** Those whose knocking nobody has answered. */
  readonly knocking: Set<Link>;
  welcome: Welcome;
  /** Whether packets of both directions are dropped silently. */
  cut: boolean;
  /** Whether it reads what it is sent. */
  reads: boolean;
  /** Whether it answers. */
  answers: boolean;
  /** Whether it ends its side when the other has ended. */
  polite: boolean;
  /** Up to so many milliseconds from one end to the other. */
  latency: number;
  /** Up to so many bytes arrive at once. */
  slice: number;
}

/** Milliseconds after which a system gives up on a peer that does not answer its knocking. */
const SYSTEM_TIMEOUT = 130_000;

const WELL = { welcome: 'accept', cut: false, reads: true, answers: true, polite: true, latency: 5 } as const;

/** What can go wrong with a server and the way to it, and come right again. */
const faults = {
  fin: (_, server) => each(server, (peer) => peer.end()),
  rst: (_, server) => each(server, (peer) => peer.reset()),
  half: (_, server) => each(server, (peer) => peer.sayHalf().end()),
  cutShort: (_, server) => each(server, (peer) => peer.sayHalf().reset()),
  send: (_, server) => each(server, (peer) => peer.say(3)),
  flood: (_, server) => each(server, (peer) => peer.say(400)),
  partition: (_, server) => (server.cut = true),
  heal: (network, server) => network.wake(Object.assign(server, { cut: false })),
  refuse: (_, server) => (server.welcome = 'refuse'),
  ignore: (_, server) => (server.welcome = 'ignore'),
  acceptFin: (_, server) => (server.welcome = 'accept-fin'),
  acceptRst: (_, server) => (server.welcome = 'accept-rst'),
  acceptPart: (_, server) => (server.welcome = 'accept-part'),
  acceptSelf: (_, server) => (server.welcome = 'self'),
  accept: (network, server) => network.wake(Object.assign(server, { welcome: 'accept' })),
  mute: (_, server) => (server.answers = false),
  answer: (_, server) => (server.answers = true),
  stall: (_, server) => (server.reads = false),
  unstall: (network, server) => network.wake(Object.assign(server, { reads: true })),
  rude: (_, server) => (server.polite = false),
  slow: (_, server) => (server.latency = 200),
  fast: (_, server) => (server.latency = 0),
  thinSlices: (_, server) => (server.slice = 1),
  thickSlices: (_, server) => (server.slice = 65_536),
  /** Its machine loses power and comes back: it answers packets of older connections with an RST. */
  crash: (_, server) => each(server, (peer) => (peer.gone = true)),
  /** Its process is ended and started again. */
  restart: (network, server) => {
    each(server, (peer) => peer.end());
    server.welcome = 'refuse';
    network.clock.after(network.random.integer(1, 2_000), () => {
      if (server.welcome === 'refuse') server.welcome = 'accept';
    });
  },
} satisfies Record<string, (network: Network, server: Server) => unknown>;

export type Fault = keyof typeof faults;

// `as`: the names are those of the object above.
export const FAULTS = Object.keys(faults) as Fault[];

/** A simulated network: servers, and the links that are dialled to them. All chance in it comes from one seed. */
export class Network {
  readonly clock: Clock;
  readonly random: Random;
  readonly servers: readonly Server[];
  readonly links: Link[] = [];
  /** How often each fault was injected. */
  readonly injected = new Map<Fault, number>();
  /** Told of bytes that arrive where they do not belong. */
  complain: (message: string) => void = () => undefined;
  /** Asked what is to take the bytes of a new peer, if not an answer in lines. */
  attend: ((peer: Peer) => Peer['onBytes']) | undefined;
  readonly #greets: boolean;
  readonly #chatter: number;
  readonly #peers = new WeakMap<Link, Peer>();

  constructor(clock: Clock, random: Random, servers: number, greets: boolean, chatter: number) {
    this.clock = clock;
    this.random = random;
    this.#greets = greets;
    this.servers = Array.from({ length: servers }, (_, index): Server => {
      return { port: index + 1, peers: new Set(), knocking: new Set(), ...WELL, slice: random.of([1, 7, 100, 65_536]) };
    });
    this.#chatter = chatter;
  }

  /** What answers at the other end of a link, once it has been accepted. */
  peerOf(link: Link): Peer | undefined {
    return this.#peers.get(link);
  }

  /** Opens a link to the server at `port`, and lets the network see what becomes of it. */
  dial(port: number): Link {
    const server = this.servers[port - 1]!;
    const random = this.random.fork(this.links.length);
    const link = this.open(port, server.welcome === 'self' ? { addresses: 'self' } : {});
    this.clock.after(random.integer(0, server.latency), () => this.#knock(server, link));
    return link;
  }

  /** A link of which nobody at the other end knows. */
  open(port: number, manners: Partial<Manners> = {}): Link {
    const random = this.random.fork(this.links.length);
    const link = new Link(this.clock, this.links.length, port, {
      sendBuffer: random.of([300, 2_000, 10_000, 65_536]),
      highWaterMark: random.of([16, 1_000, 16_384, 65_536]),
      allowHalfOpen: random.chance(0.3),
      vectored: random.chance(0.6),
      counts: random.chance(0.6),
      confirmAfter: random.chance(0.2) ? random.integer(1, 300) : 0,
      closeAfter: random.chance(0.2) ? random.integer(1, 100) : 0,
      lastWord: random.of(['none', 'error', 'success']),
      addresses: random.of(['none', 'own']),
      ...manners,
    });
    this.links.push(link);
    return link;
  }

  inject(fault: Fault, index: number): void {
    this.injected.set(fault, (this.injected.get(fault) ?? 0) + 1);
    faults[fault](this, this.servers[index % this.servers.length]!);
  }

  /** Everything is well again: who speaks to a peer that is no more is told so. */
  healAll(): void {
    for (const server of this.servers) {
      Object.assign(server, WELL);
      this.wake(server);
    }
  }

  /** What was held up goes on. */
  wake(server: Server): void {
    each(server, (peer) => peer.wake());
    if (server.cut || server.welcome === 'ignore') return;
    for (const link of server.knocking) {
      server.knocking.delete(link);
      this.clock.after(server.latency, () => this.#knock(server, link));
    }
  }

  #knock(server: Server, link: Link): void {
    if (link.destroyed) return;
    if (server.cut || server.welcome === 'ignore') {
      server.knocking.add(link);
      this.clock.after(SYSTEM_TIMEOUT, () => {
        if (server.knocking.delete(link)) link.fail('ETIMEDOUT');
      });
      return;
    }
    if (server.welcome === 'refuse') return link.fail('ECONNREFUSED');
    const { clock, random } = this;
    const peer = new Peer(link, {
      clock,
      random: random.fork(link.number),
      server,
      greets: this.#greets,
      complain: (message) => this.complain(message),
    });
    server.peers.add(peer);
    this.#peers.set(link, peer);
    link.connect(peer);
    peer.onBytes = this.attend?.(peer);
    if (this.#chatter > 0) peer.chat(this.#chatter);
    if (server.welcome === 'accept-fin') peer.end();
    if (server.welcome === 'accept-rst') peer.reset();
    if (server.welcome === 'accept-part') {
      peer.transmit(Buffer.from('WEL'));
      peer.end();
    }
  }
}

function each(server: Server, visit: (peer: Peer) => unknown): void {
  for (const peer of server.peers) {
    if (peer.link.destroyed && !peer.busy) server.peers.delete(peer);
    else visit(peer);
  }
}
