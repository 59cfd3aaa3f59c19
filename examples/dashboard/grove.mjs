// Four servers, and a pool with two members on each, which write all the time in every state. And a connection that has a
// primary and a standby.
import { once } from 'node:events';
import { ConnectionPool, ReconnectingConnection } from 'reconnecting-connection';
import { Member } from './member.mjs';
import { GREETING, TroubledServer } from './server.mjs';
import { deeds, words } from './words.mjs';
/** @import { CommonOptions, WriteTotals } from 'reconnecting-connection' */
/** @import { Action, Entry, Message, Mode, ServerIntroduction, Step } from './messages.js' */

const NAMES = ['Alder', 'Birch', 'Cedar', 'Elm'];
const MEMBERS_EACH = 2;

/** Milliseconds between the writes of a member. */
const BEAT = 100;
const LINE = `${'.'.repeat(63)}\n`;
/** Milliseconds between checks of the members that wait at the gate. */
const GLANCE = 50;
/** Lines of the log that are sent to a new page. */
const KEPT = 60;

/** Options of all connections. @type {CommonOptions} */
const common = {
  handshake: greeted,
  // Any byte counts as an answer, and echoes arrive all the time: it pings only a silent server.
  heartbeat: { interval: 1000, timeout: 1000, ping: (connection) => void connection.write('ping\n') },
  connectTimeout: 2000,
  minUptime: 2000,
  queue: { maxBytes: 16_384 },
};

/** The mode of a server after each action. @type {Partial<Record<Action, Mode>>} */
const modes = { kill: 'down', mute: 'muted', flap: 'flapping', revive: 'up' };

export class Grove {
  /** @type {Map<string, { id: string, name: string, tag: string, server: TroubledServer, members: Member[], retiring: Member[] }>} */
  #trees = new Map();
  /** The standby of the connection that has two servers. @type {TroubledServer | undefined} */
  #standby;
  /** All that there have been: the outcome of their writes remains. @type {ReconnectingConnection[]} */
  #connections = [];
  /** @type {Map<string, Member>} */
  #members = new Map();
  /** @type {Entry[]} */
  #entries = [];
  /** @type {NodeJS.Timeout[]} */
  #timers = [];
  #tell;

  /** @param {(message: Message) => void} tell */
  constructor(tell) {
    this.#tell = tell;
    this.pool = new ConnectionPool({ ...common, ejection: { failures: 3, baseTime: 10_000, maxShare: 0.25 } });
    this.pool.on('state', (_next, _previous, tag, connection) => this.#meet(connection, tag));
    this.pool.on('eject', (info, _tag, connection) => {
      this.#noteOf(connection, 'eject', words.eject(info), info.restoreAt);
    });
    this.pool.on('restore', (info, _tag, connection) => this.#noteOf(connection, 'restore', words.restore(info), 0));
  }

  /** @param {(message: Message) => void} tell */
  static async start(tell) {
    const grove = new Grove(tell);
    for (const name of NAMES) grove.#plant(name, await TroubledServer.start());
    grove.#plantPair(await TroubledServer.start(), await TroubledServer.start());
    grove.#timers.push(
      setInterval(() => grove.#write(), BEAT),
      setInterval(() => grove.#look(), GLANCE),
    );
    return grove;
  }

  /** Carries out an action of the page; resolves with false for an unknown id. @param {string} id @param {Action} action */
  async act(id, action) {
    const mode = modes[action];
    if (mode !== undefined) return this.#setServer(id, mode, action);
    if (action === 'retire') return this.#retire(id);
    const member = this.#members.get(id);
    if (member === undefined) return false;
    this.note('you', member.name, deeds[action]);
    // It leaves the pool when it has closed, and returns with `connect()`.
    if (action === 'disconnect') void member.connection.disconnect();
    else member.connection.connect();
    return true;
  }

  /** @param {Entry['kind']} kind @param {string} who @param {string} text */
  note(kind, who, text) {
    const entry = { at: Date.now(), who, kind, text };
    this.#entries = [...this.#entries.slice(1 - KEPT), entry];
    this.#tell({ type: 'entry', at: entry.at, entry });
  }

  get entries() {
    return this.#entries;
  }

  /** @returns {ServerIntroduction[]} */
  introduce() {
    return [...this.#trees.values()].map(({ id, name, tag, server, members }) => ({
      id,
      name,
      tag,
      mode: server.mode,
      members: members.map((member) => member.introduce()),
    }));
  }

  /** @param {number} at */
  figures(at) {
    const { endpoints, ...pool } = this.pool.stats;
    const members = [...this.#members.values()];
    const writes = sum(this.#connections.map(({ stats }) => stats.writes));
    return {
      pool: { ...pool, endpoints: {} },
      gates: endpoints,
      writes,
      members: members.map((each) => each.figures(at)),
    };
  }

  async stop() {
    for (const timer of this.#timers) clearInterval(timer);
    this.pool.destroy();
    for (const { connection } of this.#members.values()) connection.destroy();
    await Promise.all(
      [this.#standby, ...[...this.#trees.values()].map(({ server }) => server)].map((server) => server?.set('down')),
    );
  }

  /** @param {string} name @param {TroubledServer} server */
  #plant(name, server) {
    const id = name.toLowerCase();
    const { port } = server;
    const members = Array.from({ length: MEMBERS_EACH }, (_, index) =>
      this.#adopt(`${id}-${index + 1}`, `${name} ${index + 1}`, this.pool.add({ port })),
    );
    this.#trees.set(id, { id, name, tag: `127.0.0.1:${port}`, server, members, retiring: [] });
  }

  /** One connection outside the pool, with two servers in order of preference. @param {TroubledServer} server @param {TroubledServer} standby */
  #plantPair(server, standby) {
    const target = [server, standby].map(({ port }) => ({ port }));
    const failback = { interval: 1000, successes: 2 };
    const connection = new ReconnectingConnection({ ...common, target, failback });
    const [tag = '', other = ''] = target.map(({ port }) => `127.0.0.1:${port}`);
    const member = this.#adopt('pair-1', 'The pair', connection, { [tag]: 'Primary', [other]: 'Standby' });
    this.#standby = standby;
    this.#trees.set('primary', { id: 'primary', name: 'Primary', tag, server, members: [member], retiring: [] });
  }

  /** @param {string} id @param {string} name @param {ReconnectingConnection} connection @param {Record<string, string>} [places] */
  #adopt(id, name, connection, places) {
    /** @param {Member} member @param {Step} step */
    const onStep = (member, step) => this.#tell({ type: 'step', at: step.at, id: member.id, step });
    const member = new Member(id, name, connection, onStep, places);
    this.#members.set(id, member);
    this.#narrate(name, connection);
    return member;
  }

  /** @param {string} name @param {ReconnectingConnection} connection */
  #narrate(name, connection) {
    this.#connections.push(connection);
    connection.on('open', (info) => this.note('open', name, words.open(info)));
    connection.on('reset', (info) => this.note('reset', name, words.reset(info)));
    connection.on('backoff', (info) => this.note('backoff', name, words.backoff(info)));
    connection.on('close', (info) => this.note('close', name, words.close(info)));
  }

  /** @param {ReconnectingConnection} connection @param {Entry['kind']} kind @param {string} text @param {number} ejectedUntil */
  #noteOf(connection, kind, text, ejectedUntil) {
    const member = [...this.#members.values()].find((each) => each.connection === connection);
    if (member === undefined) return;
    member.ejectedUntil = ejectedUntil;
    this.note(kind, member.name, text);
  }

  /** Its members are replaced one after another. @param {string} id */
  #retire(id) {
    const tree = this.#trees.get(id);
    if (tree === undefined) return false;
    if (tree.retiring.length > 0) return true;
    this.note('you', tree.name, deeds.retire);
    tree.retiring = tree.members.filter(({ connection }) => this.pool.connections.includes(connection));
    void this.pool.retire(tree.tag).then(() => (tree.retiring = []));
    return true;
  }

  /** A connection that the pool has made itself is the twin of a member that is retired. @param {ReconnectingConnection} connection @param {string} tag */
  #meet(connection, tag) {
    if (this.#connections.includes(connection)) return;
    const tree = [...this.#trees.values()].find((each) => each.tag === tag);
    const member = tree?.retiring.shift();
    if (member === undefined) return;
    member.giveWayTo(connection);
    this.#narrate(`${member.name}’s twin`, connection);
  }

  /** @param {string} id @param {Mode} mode @param {Action} action */
  async #setServer(id, mode, action) {
    const tree = this.#trees.get(id);
    if (tree === undefined) return false;
    if (tree.server.mode === mode) return true;
    this.note('you', tree.name, deeds[action]);
    await tree.server.set(mode);
    this.#tell({ type: 'mode', at: Date.now(), id, mode });
    return true;
  }

  /** A full queue refuses writes, and counts them. With a callback, a write that is dropped emits no `drop`. */
  #write() {
    for (const { connection } of this.#members.values()) {
      connection.write(LINE, () => undefined);
      this.pool.pick()?.write(LINE, () => undefined);
    }
  }

  #look() {
    for (const member of this.#members.values()) member.look();
  }
}

/** A handshake that waits for the greeting. @type {import('reconnecting-connection').Handshake} */
async function greeted(socket, { signal }) {
  const [words] = await once(socket, 'data', { signal });
  if (String(words) !== GREETING) throw new Error(`Expected a greeting, got ${String(words)}`);
}

/** @param {readonly WriteTotals[]} all @returns {WriteTotals} */
function sum(all) {
  /** @param {keyof WriteTotals} kind */
  const of = (kind) => ({
    writes: all.reduce((total, each) => total + each[kind].writes, 0),
    bytes: all.reduce((total, each) => total + each[kind].bytes, 0),
  });
  return {
    accepted: of('accepted'),
    confirmed: of('confirmed'),
    uncertain: of('uncertain'),
    dropped: of('dropped'),
    queued: of('queued'),
    refused: of('refused'),
  };
}
