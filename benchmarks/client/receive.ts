import type { Control } from './control';
import type { Handlers } from './endpoint';
import type { Bench } from './slices';
import { type Task, connectorFor, opened } from './task';

/** Receives `bytes` on one connection, as fast as possible. */
export async function flood(task: Task, load: { readonly block: number; readonly bytes: number }): Promise<Bench> {
  const { block, bytes } = load;
  let left = 0;
  let onEnd: (() => void) | undefined;
  const onData = ({ length }: Buffer) => {
    left -= length;
    if (left < 0) throw new Error(`Received ${-left} bytes too many`);
    if (left === 0) onEnd!();
  };
  const writer = await opened(task, { onData });
  return async () => {
    left = bytes;
    await new Promise<void>((resolve) => {
      onEnd = resolve;
      writer.write(`flood ${block} ${bytes}\n`);
    });
    return { units: bytes / 1e6 };
  };
}

/** The groups of the peer that have members. */
let groups = 0;

/**
 * Receives small segments over many connections, none of which has two under way, so that each is read by itself: of
 * two groups, one gets its next segments when the last ones have all come.
 */
export async function trickle(
  task: Task,
  load: { readonly size: number; readonly members: number; readonly rounds: number },
  control: Control,
): Promise<Bench> {
  const { size, members, rounds } = load;
  const half = members / 2;
  let joined = 0;
  /** Groups that have not received everything. */
  let left = 0;
  let onEnd: (() => void) | undefined;
  const group = () => {
    const round = `round ${groups} ${size}\n`;
    const command = `member ${groups++}\n`;
    let seen = 0;
    const onData = ({ length }: Buffer) => {
      if (joined < members) {
        // The peer answers to `member`.
        if (++joined === members) onEnd!();
        return;
      }
      if (length !== size) throw new Error(`Expected ${size} bytes, got ${length}`);
      if (++seen % half === 0 && seen < rounds * half) control.send(round);
      if (seen === rounds * half) {
        seen = 0;
        if (--left === 0) onEnd!();
      }
    };
    const onOpen: Handlers['onOpen'] = (writer) => void writer.write(command);
    const connect = connectorFor(task)(task.address, { onOpen, onData }, 'default');
    for (let index = 0; index < half; index++) connect();
    return round;
  };
  const both = `${group()}${group()}`;
  await new Promise<void>((resolve) => (onEnd = resolve));
  return async () => {
    left = 2;
    await new Promise<void>((resolve) => {
      onEnd = resolve;
      control.send(both);
    });
    return { units: rounds * members };
  };
}
