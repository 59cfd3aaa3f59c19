/* eslint-disable @typescript-eslint/no-unsafe-call, @typescript-eslint/no-unsafe-return -- the expected errors */
// What a user writes in a project whose tsconfig.json says nothing of Node. It is compiled and never run: each error that
// is expected here has to be one, with the compiler's defaults, and nothing may be `any`.
import { Duplex } from 'node:stream';

import {
  type CommonOptions,
  type ConnectionOptions,
  type SelectMember,
  type Target,
  ConnectionPool,
  ReconnectingConnection,
  exponentialBackoff,
  logEvents,
  registry,
} from 'reconnecting-connection';
import { FaultProxy, LoopbackServer, record } from 'reconnecting-connection/testing';

interface Config {
  readonly host?: string | undefined;
  readonly ca?: string | undefined;
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export function main(config: Config, environment: Record<string, string | undefined>): ReconnectingConnection {
  // Options that are undefined are the same as absent.
  const connection = new ReconnectingConnection({ port: 6379, host: environment['HOST'] });
  const tls = config.ca === undefined ? undefined : { ca: config.ca, servername: config.host };
  const options: ConnectionOptions = { port: 6379, tls, idleTimeout: config.timeout, signal: config.signal };
  new ReconnectingConnection({ ...options, queue: { maxAge: config.timeout }, socket: { localAddress: config.host } });
  new ReconnectingConnection('tls://db.example:6380', { signal: config.signal });
  new ReconnectingConnection(new URL('unix:///run/db.sock').href);
  const pool = new ConnectionPool({ port: 6379, signal: config.signal, maxConnecting: config.timeout });
  pool.add({ host: config.host });
  void connection.whenOpen({ signal: config.signal, attempts: config.timeout });
  connection.sessions({ signal: config.signal });
  exponentialBackoff({ initialDelay: config.timeout });
  logEvents(pool, console, { interval: config.timeout });
  registry.connect({ path: '/run/db.sock', backoff: undefined });
  void LoopbackServer.start({ port: config.timeout, host: config.host });
  void record(connection).next('open', { deadline: config.timeout });
  void FaultProxy.start({ target: { port: 6379, host: config.host } });

  // What a function may return.
  const select: SelectMember = (open) => open.find((member) => member.pendingBytes === 0) ?? null;
  const common: CommonOptions = {
    handshake: async (socket) => {
      await Promise.resolve(socket);
    },
    decoder: () =>
      Duplex.from(async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) yield chunk.toString();
      }),
    shouldRetry: ({ error }) => error?.code !== 'EACCES',
    backoff: ({ attempt }) => (attempt > 3 ? undefined : 100),
    socket: { lookup: (_name, _options, callback) => callback(null, '127.0.0.1', 4) },
  };
  const connectTo = (target: Target) => new ReconnectingConnection({ ...common, ...target });
  new ConnectionPool({ select });
  connection.write('x', (error: Error | null | undefined) => error?.message);
  connection.write('x', (error?: Error) => error?.message);
  connection.write('x', 'utf8', (error) => error?.code);

  // The types of Node are there, and none of them is `any`.
  connection.on('data', (chunk) => {
    chunk.readUInt8(0).toFixed();
    // @ts-expect-error no method of a Buffer
    chunk.thisMethodDoesNotExist();
  });
  // @ts-expect-error no method of a socket
  connection.socket?.thisMethodDoesNotExist();
  // @ts-expect-error no method of a stream
  connection.toDuplex().thisMethodDoesNotExist();
  connection.on('backoff', ({ error }) => {
    // @ts-expect-error no property of an error
    return error?.thisPropertyDoesNotExist;
  });
  // @ts-expect-error there is no such event
  connection.on('error', () => undefined);
  // @ts-expect-error there is no such option
  new ReconnectingConnection({ port: 1, idleTimout: 5 });
  // @ts-expect-error nowhere to connect to
  new ReconnectingConnection({ host: 'db' });
  // @ts-expect-error nowhere to connect to
  new ReconnectingConnection({});
  // @ts-expect-error a port is a number
  new ReconnectingConnection({ port: '6379' });
  // @ts-expect-error null is not undefined
  new ReconnectingConnection({ port: 6379, host: null });
  // @ts-expect-error no option of TLS
  new ReconnectingConnection({ port: 6379, tls: { cacert: '' } });
  // @ts-expect-error a URL says where to connect to
  new ReconnectingConnection('tcp://db:1', { port: 2 });
  return connectTo({ port: 6379 });
}
