import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';

import { type ChannelEvent, type ChannelMessage, ConnectionPool } from 'reconnecting-connection';

import { publish } from '../../lib/events/diagnostics-channel';
import { Loopback, QUICK, connectTo, next, payload, track, written } from '../kit/loopback';

const PUBLISHED: readonly ChannelEvent[] = ['open', 'reset', 'backoff', 'drop', 'close'];

type Published = readonly [event: string, message: ChannelMessage];

const nameOf = (event: string) => `reconnecting-connection:connection:${event}`;
const unsubscribers: (() => void)[] = [];

afterEach(() => {
  for (const leave of unsubscribers.splice(0)) leave();
});

/** Subscribes to the channel of `event` until the test is over. */
function onChannel(event: ChannelEvent, heard: (message: ChannelMessage) => void): void {
  const listener = (message: unknown) => heard(message as ChannelMessage);
  subscribe(nameOf(event), listener);
  unsubscribers.push(() => unsubscribe(nameOf(event), listener));
}

/** Everything that is published from now on. */
function published(): Published[] {
  const all: Published[] = [];
  for (const event of PUBLISHED) onChannel(event, (message) => all.push([event, message]));
  return all;
}

test('every event of a life is published, as its listeners hear it, with the connection and its tag', async () => {
  const heard = published();
  const server = await Loopback.start();
  const connection = connectTo(server);
  const told: unknown[] = [];
  for (const event of PUBLISHED)
    connection.on(event, (info: object) => told.push([event, { connection, tag, ...info }]));
  const { tag } = connection;
  await server.meets(connection);

  server.refuse();
  server.drop();
  await payload(connection, 'backoff', ({ attempt }) => attempt === 2);
  const lost = written(connection, 'queued');
  await connection.disconnect();

  expect(await lost).toMatchObject({ code: 'ERR_CLOSED' });
  expect(heard.map(([event]) => event)).toEqual(['open', 'reset', 'backoff', 'backoff', 'drop', 'close']);
  expect(heard).toEqual(told);
  expect(heard[0]?.[1].connection).toBe(connection);
});

test('a channel is told before the listeners, when the connection is already in its new state', async () => {
  const server = await Loopback.start();
  const order: string[] = [];
  onChannel('open', ({ connection }) => order.push(`channel: ${connection.state}`));
  const connection = connectTo(server).on('open', () => order.push('listener'));

  await connection.whenOpen();

  expect(order).toEqual(['channel: open', 'listener']);
});

test('an event of a pool’s member is published once', async () => {
  const heard = published();
  const server = await Loopback.start();
  const pool = track(new ConnectionPool(QUICK));
  pool.add(server.target);
  pool.add(server.target);
  pool.on('close', () => {});

  await next(pool, 'open', () => pool.stats.open === 2);
  await pool.disconnect();

  expect(heard.map(([event]) => event).sort()).toEqual(['close', 'close', 'open', 'open', 'reset', 'reset']);
});

test('what is not true any more in its turn is not published', async () => {
  const heard = published();
  const server = await Loopback.start();
  const connection = connectTo(server);
  connection.on('state', (state) => {
    if (state === 'open') connection.destroy();
  });

  await next(connection, 'close');

  expect(heard.map(([event]) => event)).toEqual(['close']);
});

test('a subscriber may end the connection, and its listeners hear the event all the same', async () => {
  const server = await Loopback.start();
  onChannel('open', ({ connection }) => connection.destroy());
  const order: string[] = [];
  const connection = connectTo(server);
  for (const event of PUBLISHED) connection.on(event, () => order.push(event));

  await next(connection, 'close');

  expect(order).toEqual(['open', 'reset', 'close']);
});

test('without a subscriber nothing is made', () => {
  const asked: string[] = [];
  const connection = {
    get tag() {
      asked.push('tag');
      return 'tag';
    },
  };
  expect(PUBLISHED.filter((event) => channel(nameOf(event)).hasSubscribers)).toEqual([]);

  publish(connection, 'open', [{}]);
  expect(asked).toEqual([]);

  onChannel('open', () => {});
  publish(connection, 'open', [{}]);
  expect(asked).toEqual(['tag']);
});
