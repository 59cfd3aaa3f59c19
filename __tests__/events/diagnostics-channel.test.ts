import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';

import { type ChannelEvent, type ChannelMessage, ConnectionPool } from 'reconnecting-connection';

import { publish } from '../../lib/events/diagnostics-channel';
import { Loopback, QUICK, connectTo, next, payload, track, written } from '../kit/loopback';

const PUBLISHED: readonly ChannelEvent[] = ['open', 'reset', 'backoff', 'drop', 'close'];

type Published = readonly [event: string, message: ChannelMessage];

const nameOf = (event: string) => `reconnecting-connection:connection:${event}`;
const unsubscribers: (() => void)[] = [];

afterEach(() => {
  for (const cancel of unsubscribers.splice(0)) cancel();
});

/** Subscribes to the channel of `event` until the test is over. */
function onChannel(event: ChannelEvent, handler: (message: ChannelMessage) => void): void {
  const listener = (message: unknown) => handler(message as ChannelMessage);
  subscribe(nameOf(event), listener);
  unsubscribers.push(() => unsubscribe(nameOf(event), listener));
}

/** Records all messages that are published from now on. */
function published(): Published[] {
  const all: Published[] = [];
  for (const event of PUBLISHED) onChannel(event, (message) => all.push([event, message]));
  return all;
}

test('every event of a lifecycle is published, with the connection and its tag added to its payload', async () => {
  const messages = published();
  const server = await Loopback.start();
  const connection = connectTo(server);
  const emitted: unknown[] = [];
  for (const event of PUBLISHED)
    connection.on(event, (info: object) => emitted.push([event, { connection, tag, ...info }]));
  const { tag } = connection;
  await server.meets(connection);

  server.refuse();
  server.drop();
  await payload(connection, 'backoff', ({ attempt }) => attempt === 2);
  const lost = written(connection, 'queued');
  await connection.disconnect();

  expect(await lost).toMatchObject({ code: 'ERR_CLOSED' });
  expect(messages.map(([event]) => event)).toEqual(['open', 'reset', 'backoff', 'backoff', 'drop', 'close']);
  expect(messages).toEqual(emitted);
  expect(messages[0]?.[1].connection).toBe(connection);
});

test('an event is published before its listeners run, when the connection is already in its new state', async () => {
  const server = await Loopback.start();
  const order: string[] = [];
  onChannel('open', ({ connection }) => order.push(`channel: ${connection.state}`));
  const connection = connectTo(server).on('open', () => order.push('listener'));

  await connection.whenOpen();

  expect(order).toEqual(['channel: open', 'listener']);
});

test('an event of a pool’s member is published once', async () => {
  const messages = published();
  const server = await Loopback.start();
  const pool = track(Object.assign(new ConnectionPool(QUICK), { tag: 'a property of the application' }));
  pool.add(server.target);
  pool.add(server.target);
  pool.on('close', () => {});

  await next(pool, 'open', () => pool.stats.open === 2);
  await pool.disconnect();

  expect(messages.map(([event]) => event).sort()).toEqual(['close', 'close', 'open', 'open', 'reset', 'reset']);
});

test('an event that is obsolete before its delivery is not published', async () => {
  const messages = published();
  const server = await Loopback.start();
  const connection = connectTo(server);
  connection.on('state', (state) => {
    if (state === 'open') connection.destroy();
  });

  await next(connection, 'close');

  expect(messages.map(([event]) => event)).toEqual(['close']);
});

test('a subscriber may destroy the connection, and the listeners of the event still run', async () => {
  const server = await Loopback.start();
  onChannel('open', ({ connection }) => connection.destroy());
  const order: string[] = [];
  const connection = connectTo(server);
  for (const event of PUBLISHED) connection.on(event, () => order.push(event));

  await next(connection, 'close');

  expect(order).toEqual(['open', 'reset', 'close']);
});

test('without a subscriber no message is created', () => {
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
