import type { Socket } from 'node:net';

import type { Cell } from './cell';
import type { State } from './table';

/** More than all the buffers on the way of a peer that does not read. */
const TOO_MUCH = Buffer.alloc(12 * 1_048_576);

/** Brings a cell's connection into its state. */
export const enter: Record<State, (cell: Cell) => unknown> = {
  idle: (cell) => cell.begin(),
  resolving: async (cell) => {
    cell.begin();
    await turns();
  },
  tcp: async (cell) => {
    cell.begin();
    await turns();
  },
  tls: (cell) => cell.peer.holdTls(() => cell.begin()),
  hook: async (cell) => {
    await meet(cell, () => {
      cell.begin();
      return cell.hooked.passed;
    });
  },
  open,
  writing: async (cell) => {
    const socket = await open(cell);
    socket.pause();
    cell.write(TOO_MUCH);
  },
  paused: async (cell) => {
    const socket = await open(cell);
    const { connection } = cell;
    // Only what was begun can be paused, and only behind unread bytes is an end sure to go unseen.
    const read = new Promise((resolve) => connection.once('data', resolve));
    socket.write('read');
    await read;
    connection.pause();
    socket.write('unread ');
    while (connection.socket?.readableLength === 0) await new Promise(setImmediate);
  },
  backoff: async (cell) => {
    const socket = await open(cell);
    const waits = new Promise((resolve) => cell.connection.once('backoff', resolve));
    socket.end();
    await waits;
  },
  closing: async (cell) => {
    const socket = await open(cell);
    cell.peer.keepOpen(socket);
    void cell.connection.disconnect();
    if (!socket.readableEnded) await cell.peer.loopback.until(() => socket.readableEnded);
  },
  closed: async (cell) => {
    await open(cell);
    const closed = new Promise((resolve) => cell.connection.once('close', resolve));
    cell.connection.destroy();
    await closed;
  },
};

async function open(cell: Cell): Promise<Socket> {
  return meet(cell, async () => {
    cell.begin();
    await cell.connection.whenOpen();
  });
}

/** Waits for both ends of a connection. */
async function meet(cell: Cell, arrive: () => Promise<void>): Promise<Socket> {
  await arrive();
  return (cell.socket = await cell.peer.loopback.session(1));
}

/** Lets what was begun come to where it waits. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}
