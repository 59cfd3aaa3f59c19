// The library at work, in ten seconds: real server processes are killed and started again.
// Run it: npm run demo
import { fork } from 'node:child_process';
import { on, once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { ConnectionPool, ReconnectingConnection, exponentialBackoff } from 'reconnecting-connection';
import { heading, note, show } from './demo-screen.mjs';

// Slow enough to watch its growth.
const backoff = exponentialBackoff({ initialDelay: 300, maxDelay: 2400, multiplier: 2, jitter: 'equal' });

note('ten seconds with real server processes, which are killed and started again');
note('a row is an event of the library; » is what this demo does');

heading('1. The server is killed, and the connection comes back');

note('const connection = new ReconnectingConnection({ port })');
const server = await startServer();
const connection = new ReconnectingConnection({ port: server.port, backoff });
const { tag } = connection;
connection.on('open', (info) => show.open(info, tag));
connection.on('data', (chunk) => show.data(chunk, tag));
connection.on('reset', (info) => show.reset(info, tag));
connection.on('backoff', (info) => show.backoff(info, tag));
connection.on('close', (info) => show.close(info, tag));

await connection.whenOpen();
connection.write('Are you there?\n');
await pause(600);

note(`kill -9 ${server.pid}`);
server.kill();

await retryOf(connection, 2);
note('connection.write() while the server is down: the text waits in the queue');
connection.write('Did this get lost?\n');

await retryOf(connection, 4);
note('the server is started again, on the same port');
const successor = await startServer(server.port);
await connection.whenOpen();
await pause(600);

heading('2. One member of a pool is in trouble, the others are not');

note('const pool = new ConnectionPool(), with a member on each of three servers');
const servers = await Promise.all([startServer(), startServer(), startServer()]);
const pool = new ConnectionPool({ backoff });
pool.on('open', show.open);
pool.on('data', show.data);
pool.on('reset', show.reset);
pool.on('backoff', show.backoff);
pool.on('close', show.close);

for (const { port } of servers) pool.add({ port });
await Promise.all([...pool].map((member) => member.whenOpen()));
note(`pool.broadcast() reaches ${pool.broadcast('Are you there?\n')} members`);
await pause(600);

const [, unlucky] = servers;
note(`kill -9 ${unlucky.pid}`);
unlucky.kill();

await retryOf(pool, 2);
note(`pool.write() twice: ${pool.stats.open} of ${pool.size} members are open, and take turns`);
pool.write('Who steps in?\n');
pool.write('And who after that?\n');

await retryOf(pool, 3);
note('the server is started again, on the same port');
servers.push(await startServer(unlucky.port));
await Promise.all([...pool].map((member) => member.whenOpen()));
note(`pool.broadcast() reaches ${pool.broadcast('Are you there?\n')} members`);
await pause(600);
pool.removeAllListeners();
await pool.disconnect();

heading('3. The program ends, and nothing that it wrote is lost');

for (let order = 1; order <= 1000; order += 1) connection.write(`order ${order}\n`);
note('connection.disconnect() right after 1000 writes');
await connection.disconnect();

const { accepted, confirmed, uncertain, dropped } = connection.stats.writes;
note(
  `every write is accounted for: ${accepted.writes} accepted = ${confirmed.writes} confirmed + ${uncertain.writes} uncertain + ${dropped.writes} dropped`,
);
note('break servers yourself: npm run dashboard; the code of this demo: examples/demo.mjs');
for (const { stop } of [...servers, successor]) stop();

/** Starts a server in a process of its own, by default on a free port. It ends with this process. */
async function startServer(port = 0) {
  const child = fork(new URL('demo-server.mjs', import.meta.url), [String(port)]);
  child.once('exit', (code) => {
    if (code) throw new Error(`A server of the demo failed with exit code ${code}`);
  });
  const [boundPort] = await once(child, 'message');
  return { port: Number(boundPort), pid: child.pid, kill: () => child.kill('SIGKILL'), stop: () => child.kill() };
}

/**
 * Resolves when the wait before a retry begins.
 *
 * @param {ReconnectingConnection | ConnectionPool} source
 * @param {number} number
 */
async function retryOf(source, number) {
  for await (const [{ attempt }] of on(source, 'backoff')) {
    if (attempt === number) return;
  }
}
