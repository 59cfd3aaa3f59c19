import { type Task, connectorFor } from './task';
import { Control } from './control';
import type { Handlers } from './endpoint';
import { type Reading, Meter } from './meter';

/** Data received during the measurement. */
export interface Received extends Reading {
  readonly events: number;
  readonly bytes: number;
}

export interface FloodTask extends Task {
  readonly work: 'flood';
  readonly block: number;
  readonly warmUp: number;
  readonly bytes: number;
}

/** Receives from one connection, as fast as possible. */
export function flood({ block, warmUp, bytes, ...task }: FloodTask): Promise<Received> {
  const total = warmUp + bytes;
  let received = 0;
  let first = 0;
  let events = 0;
  let meter: Meter | undefined;
  return new Promise((resolve) => {
    const onData = (chunk: Buffer) => {
      received += chunk.length;
      events++;
      if (meter === undefined) {
        if (received < warmUp) return;
        meter = new Meter();
        first = received;
        events = 0;
      } else if (received >= total) {
        if (received > total) throw new Error(`Received ${received} bytes, not ${total}`);
        resolve({ events, bytes: received - first, ...meter.read() });
      }
    };
    const onOpen: Handlers['onOpen'] = (writer) => void writer.write(`flood ${block} ${total}\n`);
    connectorFor(task)(task.address, { onOpen, onData }, 'default')();
  });
}

export interface TrickleTask extends Task {
  readonly work: 'trickle';
  readonly size: number;
  readonly members: number;
  readonly warmUp: number;
  readonly rounds: number;
}

/** Receives small segments over many connections, none of which has two under way, so that each is read by itself. */
export async function trickle({ size, members, warmUp, rounds, ...task }: TrickleTask): Promise<Received> {
  const control = await Control.open(task.address);
  const half = members / 2;
  const first = warmUp * members;
  const last = first + rounds * members;
  let events = 0;
  let bytes = 0;
  let meter: Meter | undefined;
  return new Promise((resolve) => {
    const group = (name: '0' | '1') => {
      let seen = 0;
      const onData = (chunk: Buffer) => {
        bytes += chunk.length;
        if (++seen === half) {
          seen = 0;
          control.send(name);
        }
        if (++events === first) {
          meter = new Meter();
          bytes = 0;
        } else if (events === last) {
          if (bytes !== size * (last - first)) throw new Error('Some segments came together');
          resolve({ events: last - first, bytes, ...meter!.read() });
        }
      };
      const onOpen: Handlers['onOpen'] = (writer) => void writer.write(`member ${name}\n`);
      return connectorFor(task)(task.address, { onOpen, onData }, 'default');
    };
    const groups = [group('0'), group('1')];
    for (let index = 0; index < members; index++) groups[index % 2]!();
    control.send(`trickle ${size} ${members} ${warmUp + rounds}\n`);
  });
}
