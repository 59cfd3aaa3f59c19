import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';

import { type ConnectionOptions, ReconnectingConnection } from 'reconnecting-connection';

import * as failureText from '../../lib/events/failure-text';
import { loadCertificates } from '../kit/certificates';

const hintFor = (error: Error) => failureText.failureOf(error).hint;
const cleanUp: (() => void)[] = [];

afterEach(() => {
  for (const end of cleanUp.splice(0)) end();
});

async function portOf(server: net.Server): Promise<number> {
  cleanUp.push(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  // `as`: it listens on a port.
  return (server.address() as AddressInfo).port;
}

/** The error of the first failed attempt. */
async function failureOf(options: ConnectionOptions): Promise<Error> {
  const connection = new ReconnectingConnection(options);
  cleanUp.push(() => connection.destroy());
  const [{ error }] = (await once(connection, 'backoff')) as [{ error: Error }];
  return error;
}

test('a certificate of an unknown issuer, or of another name', async () => {
  const { server: own, ca } = await loadCertificates();
  const port = await portOf(tls.createServer(own));
  const unknown = await failureOf({ port, tls: true });
  expect(hintFor(unknown)).toBe('to trust it, pass the certificate of its issuer in `tls: { ca }`');
  const named = await failureOf({ port, tls: { ca: ca.cert, servername: 'elsewhere.example' } });
  expect(hintFor(named)).toBe('the name to verify is `host`, or `tls: { servername }`');
});

test('a server that does not speak TLS', async () => {
  const port = await portOf(net.createServer((socket) => socket.on('error', () => {}).write('220 ready\r\n')));
  expect(hintFor(await failureOf({ port, tls: true }))).toBe('does the server speak TLS at this port?');
});

test('other errors have none', () => {
  expect(hintFor(new Error('x'))).toBeUndefined();
  expect(hintFor(Object.assign(new Error('x'), { code: 'constructor' }))).toBeUndefined();
});
