import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ReconnectingConnection } from 'reconnecting-connection';
import { DeliveryWindow, FileSpool } from 'reconnecting-connection/delivery';
import { LoopbackServer } from 'reconnecting-connection/testing';

import { track } from '../kit/loopback';

test('a message that the spool has lost is passed over, and acknowledged with the one before it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'spool-'));
  track({ destroy: () => rmSync(directory, { recursive: true }) });
  const before = new FileSpool({ directory });
  await before.replay();
  await before.append(['one', 'two', 'three', 'four'], 1);
  await before.close();
  const path = join(directory, readdirSync(directory)[0]!);
  writeFileSync(path, readFileSync(path, 'latin1').replace('one', 'ONE').replace('three', 'THREE'));

  const server = await LoopbackServer.start();
  track({ destroy: () => server.close() });
  const connection = track(new ReconnectingConnection(server.target));
  const errors: string[] = [];
  const spool = new FileSpool({ directory, onCorrupt: ({ message }) => errors.push(message) });
  track({ destroy: () => spool.close() });
  const encode = (position: number, text: string) => `${position} ${text}\n`;
  const window = new DeliveryWindow(connection, { encode, maxBytes: 1_000, spool });
  await window.ready;
  expect(errors).toEqual([
    `17 bytes are damaged in ${path} at offset 0`,
    expect.stringMatching(`^\\d+ bytes are damaged in ${path} at offset \\d+$`),
  ]);
  expect([window.first, window.next]).toEqual([2, 5]);
  await server.receives('4 four\n');
  expect(String(server.received())).toBe('2 two\n4 four\n');

  window.acknowledge(2);
  expect(window.first).toBe(4);
  expect(window.close()).toEqual([{ position: 4, message: 'four' }]);
});

test('a window goes on with a spool whose files are removed as the peer acknowledges', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'spool-'));
  track({ destroy: () => rmSync(directory, { recursive: true }) });
  const server = await LoopbackServer.start();
  track({ destroy: () => server.close() });
  const connection = track(new ReconnectingConnection(server.target));
  const spool = new FileSpool({ directory, maxBytes: 20_000, sync: 'never' });
  track({ destroy: () => spool.close() });
  // The peer has at once what is sent.
  const encode = (position: number) => {
    setImmediate(() => window.acknowledge(position));
    return `${position}\n`;
  };
  const window: DeliveryWindow = new DeliveryWindow(connection, { encode, maxBytes: 5_000, spool });
  await window.ready;
  // Ten times what the spool has room for.
  for (let number = 1; number <= 2_000; number++) {
    if (!window.send('x'.repeat(100))) await once(window, 'drain');
  }
  while (window.first < window.next) await once(window, 'acknowledged');
  expect(window.stats).toMatchObject({ state: 'ready', acknowledged: 2_000 });
});
