import { once } from 'node:events';
import { writeSync } from 'node:fs';
import type { Duplex } from 'node:stream';

import { ConnectionError, ReconnectingConnection } from 'reconnecting-connection';
import { DeliveryWindow, FileSpool } from 'reconnecting-connection/delivery';

import { decoderOf, read } from '../kit/protocols/frames';
import { type RelpAnswer, RelpNumbers, speakRelp } from '../kit/protocols/relp';
import { parseNumber } from './line-protocol';

// Ships the messages from the first that its spool does not know to the last one: node shipper-process.js <protocol> <port>
// <directory> <last> <step>. It prints how many are acknowledged, whenever `step` more are.
type Protocol = 'relp' | 'lines';

const BACKOFF = { initialDelay: 10, maxDelay: 100 };

async function main([protocol, port, directory, last, step]: readonly string[]): Promise<void> {
  const spool = new FileSpool({ directory: directory!, sync: 'never' });
  // `as`: the caller passes nothing else.
  const window = { relp: overRelp, lines: overLines }[protocol as Protocol](Number(port), spool);
  await window.ready;
  let reported = 0;
  window.on('acknowledged', report);
  report();
  while (window.next <= Number(last)) {
    if (!trySend(window)) await once(window, 'drain');
  }
  while (window.first < window.next) await once(window, 'acknowledged');
  process.exit();

  function report(): void {
    const acknowledged = window.first - 1;
    if (acknowledged < reported + Number(step)) return;
    reported = acknowledged;
    writeSync(1, `${acknowledged}\n`);
  }
}

/** The window is full from the beginning if the process before left it so. */
function trySend(window: DeliveryWindow): boolean {
  try {
    return window.send(`message ${window.next}`);
  } catch (error) {
    if (error instanceof ConnectionError && error.code === 'ERR_QUEUE_FULL') return false;
    throw error;
  }
}

/** The server does not say what it has: some messages arrive twice. */
function overRelp(port: number, spool: FileSpool): DeliveryWindow {
  const numbers = new RelpNumbers();
  const connection = new ReconnectingConnection<RelpAnswer>({ port, ...speakRelp, backoff: BACKOFF });
  const encode = (position: number, message: string) => numbers.frame(position, message);
  connection.on('open', () => numbers.begin());
  const window = new DeliveryWindow(connection, { encode, maxBytes: 200_000, spool });
  connection.on('message', (answer) => {
    const position = numbers.positionOf(answer);
    if (position !== undefined) window.acknowledge(position);
  });
  return window;
}

/** The server says what it has, in the handshake: no message arrives twice. */
function overLines(port: number, spool: FileSpool): DeliveryWindow {
  const handshake = async (socket: Duplex, { signal }: { readonly signal: AbortSignal }) => {
    await window.ready;
    window.forget(await read(socket, parseNumber, signal));
  };
  const connection = new ReconnectingConnection<number>({
    port,
    handshake,
    backoff: BACKOFF,
    decoder: decoderOf(parseNumber),
  });
  const encode = (position: number, message: string) => `${position} ${message}\n`;
  const window: DeliveryWindow = new DeliveryWindow(connection, { encode, maxBytes: 200_000, spool });
  connection.on('message', (position) => window.acknowledge(position));
  return window;
}

void main(process.argv.slice(2));
