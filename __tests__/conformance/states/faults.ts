import type { Cell } from './cell';
import type { Fault, State } from './table';

/** How long something is watched that must not happen. */
const A_WHILE = 60;

export const strike: Record<Fault, (cell: Cell) => Promise<void> | void> = {
  'peer FIN': (cell) => {
    if (cell.socket === undefined) cell.peer.loopback.drop();
    else cell.socket.end();
    return afterPause(cell);
  },
  'peer RST': (cell) => cell.peer.loopback.reset(),
  'server killed': async (cell) => {
    if (cell.state === 'tcp') await cell.deaf.destroy();
    else await Promise.all([cell.peer.loopback.close(), afterPause(cell)]);
  },
  'server restarted': async (cell) => {
    if (cell.state === 'tcp') {
      await cell.deaf.destroy();
      if ('port' in cell.deaf.target) await cell.peer.moveTo(cell.deaf.target.port);
    }
    // It listens again before its old sockets are gone, so that the number of refused dials does not depend on luck.
    cell.peer.loopback.refuse();
    await cell.peer.loopback.accept();
    cell.peer.loopback.drop();
    await afterPause(cell);
  },
  silence: () => undefined,
  'listener throws': (cell) => {
    cell.throwAlways();
    return goOn[cell.state](cell);
  },
  'handshake fails': (cell) => {
    if (cell.state === 'hook') cell.hook.fail(new Error('Refused'));
    else if (cell.socket === undefined) return goOn[cell.state](cell);
    else if (cell.state !== 'backoff') reconnect(cell);
    if (cell.state === 'closed') cell.connection.connect();
  },
  'connect()': (cell) => cell.connection.connect(),
  'reconnect()': (cell) => {
    reconnect(cell);
    cell.connection.reconnect();
  },
  'disconnect()': async (cell) => {
    const calls = [cell.connection.disconnect(), cell.connection.disconnect()];
    if (calls[0] !== calls[1]) cell.problems.push('two calls of disconnect() do not share a promise');
    if (cell.state === 'closing') cell.socket?.end();
    await Promise.all(calls);
  },
  'write, disconnect()': async (cell) => {
    cell.write('last words');
    const closed = cell.connection.disconnect();
    cell.resolution.open();
    cell.peer.goOnWithTls();
    cell.hook.open();
    if (cell.state === 'closing') cell.socket?.end();
    await closed;
  },
  'destroy()': (cell) => cell.connection.destroy(),
  'signal aborted': (cell) => cell.controller.abort(new Error('Enough')),
  'cut mid-frame': (cell) => {
    cell.proxy.cutAfter(5, { how: 'drop', counting: 'toClient' });
    speak(cell);
  },
  'stalled link': ({ proxy }) => proxy.set({ stall: true }),
  'black hole': ({ proxy }) => proxy.set({ blackhole: true }),
  'one-byte slices': (cell) => {
    cell.proxy.set({ slice: 1 });
    speak(cell);
  },
  'late close': (cell) => {
    cell.proxy.set({ lateClose: 100 });
    if (cell.socket === undefined) cell.peer.goOnWithTls();
    else cell.socket.end('last words');
    return afterPause(cell);
  },
  // The kernel has these bytes at once, and the process stands still before it reads them.
  freeze: (cell) => {
    if (cell.state === 'tls') cell.peer.goOnWithTls();
    if (cell.state === 'closing') cell.socket?.end();
    if (SPEAKS.has(cell.state)) cell.socket?.write('thaw');
  },
};

/** States in which the peer has something to say. */
const SPEAKS = new Set<State>(['hook', 'open', 'writing', 'paused']);

function speak(cell: Cell): void {
  if (cell.socket === undefined) cell.peer.goOnWithTls();
  else cell.socket.write('long frame');
}

/** A paused connection does not see the end of its peer: it is given the time to, and resumed then. */
async function afterPause(cell: Cell): Promise<void> {
  if (cell.state !== 'paused') return;
  await new Promise((resolve) => setTimeout(resolve, A_WHILE));
  cell.note('resume()');
  cell.connection.resume();
}

/** Lets a connection do what comes next in its state. */
const goOn: Record<State, (cell: Cell) => Promise<void> | void> = {
  idle: ({ connection }) => connection.connect(),
  resolving: ({ resolution }) => resolution.open(),
  tcp: ({ connection }) => void connection.disconnect(),
  tls: ({ peer }) => peer.goOnWithTls(),
  hook: ({ hook }) => hook.open(),
  open: ({ socket }) => void socket?.end('last words'),
  writing: ({ socket }) => void socket?.end('last words'),
  paused: (cell) => {
    cell.socket?.end('last words');
    return afterPause(cell);
  },
  backoff: () => undefined,
  closing: ({ socket }) => void socket?.end(),
  closed: ({ connection }) => connection.connect(),
};

/** Of a session that is vouched for: any other would be followed by a backoff. */
function reconnect({ connection }: Cell): void {
  connection.markHealthy();
  connection.reconnect();
}
