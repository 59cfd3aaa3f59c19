import { getEventListeners } from 'node:events';

import { type ConnectionOptions, ReconnectingConnection } from 'reconnecting-connection';

import { EVENTS } from '../kit/record';
import { type Finding, differences, growth, holdings, holdingsOnceLike, unlessEqual } from './measure';

/** What a connection goes through again and again. */
export interface Cycle {
  readonly options: ConnectionOptions;
  /** Written whenever a session opens, to a peer that ends it then. */
  readonly hello?: Uint8Array;
}

/** The share of all cycles after which caches are warm and code is compiled: growth counts from there. */
const WARM_UP = 0.25;

/**
 * Takes one connection through `count` cycles, each a session that is lost or a dial that fails, and dials at once
 * after each. At a quarter and at the end it stands still, waiting for a retry, and what the process holds is compared.
 */
export async function cycle(count: number, { options, hello }: Cycle): Promise<Finding> {
  const before = await holdings();
  const controller = new AbortController();
  const { signal } = controller;
  const connection = new ReconnectingConnection({ backoff: () => 60_000, autoConnect: false, signal, ...options });
  let offered = 0;
  let settled = 0;
  connection.on('open', () => {
    if (hello === undefined) return;
    offered += 1;
    connection.write(hello, () => (settled += 1));
  });
  connection.on('data', () => {});
  connection.on('message', () => {});
  const listeners = EVENTS.reduce((sum, event) => sum + connection.listenerCount(event), 1);

  const warmUp = Math.ceil(count * WARM_UP);
  await pass(connection, warmUp);
  const warm = await holdings();
  const startedAt = performance.now();
  await pass(connection, count - warmUp);
  const seconds = (performance.now() - startedAt) / 1_000;
  const late = await holdingsOnceLike(warm);

  const grown = growth(warm, late, count);
  const { generation, stats } = connection;
  const problems = [
    ...grown.problems,
    ...differences(warm, late),
    ...unlessEqual(
      'listeners on the connection',
      EVENTS.reduce((sum, event) => sum + connection.listenerCount(event), 1),
      listeners,
    ),
    ...unlessEqual('listeners on the signal', getEventListeners(signal, 'abort').length, 1),
    ...unlessEqual('sessions and failed dials', stats.resets + stats.failures, count),
  ];
  controller.abort();
  const after = await holdingsOnceLike(before);
  problems.push(
    ...differences(before, after),
    ...unlessEqual('listeners on the signal after the end', getEventListeners(signal, 'abort').length, 0),
    ...unlessEqual('callbacks of writes', settled, offered),
  );
  const perSecond = Math.round((count - warmUp) / seconds);
  return { figures: { cycles: count, sessions: generation, perSecond, ...grown.figures }, problems };
}

/** Lets `count` sessions or dials fail. Afterwards the connection waits for a retry. */
function pass(connection: ReconnectingConnection, count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count;
    const onBackoff = () => {
      left -= 1;
      if (left > 0) {
        connection.reconnect();
        return;
      }
      connection.off('backoff', onBackoff);
      resolve();
    };
    connection.on('backoff', onBackoff);
    connection.reconnect();
  });
}
