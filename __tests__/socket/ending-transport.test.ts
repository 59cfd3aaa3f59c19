import { once } from 'node:events';
import { connect } from 'node:net';

import { EndingTransport } from '../../lib/socket/ending-transport';
import type { Transport } from '../../lib/socket/transport';
import { Loopback } from '../kit/loopback';
import { ScriptedLink, pass, settle, useFakeClock } from '../kit/scripted';

afterEach(() => jest.useRealTimers());

const CLOSE_TIMEOUT = 2_000;

async function opened(): Promise<ScriptedLink> {
  const link = new ScriptedLink(new AbortController().signal).connect();
  await settle();
  return link;
}

function ending(link: ScriptedLink): { parts: EndingTransport; gone: jest.Mock } {
  // `as`: its `ref()` returns the link itself.
  const parts = new EndingTransport(link as unknown as Transport, 'a:1', CLOSE_TIMEOUT, true);
  const gone = jest.fn();
  parts.whenGone(gone);
  return { parts, gone };
}

test('lets go of a socket when the peer has ended too, and reads what comes until then', async () => {
  const server = await Loopback.start();
  const socket = connect(server.port);
  await once(socket, 'connect');
  socket.pause();
  await server.until(() => server.live === 1);
  server.latest.write('late');
  const parts = new EndingTransport(socket, 'a:1', 60_000, true);
  await new Promise<void>((resolve) => parts.whenGone(resolve));
  expect([socket.readableEnded, socket.destroyed]).toEqual([true, true]);
});

describe('with a fake clock', () => {
  beforeEach(useFakeClock);

  test('destroys a transport whose peer does not end within closeTimeout', async () => {
    const link = await opened();
    const { gone } = ending(link);
    await pass(CLOSE_TIMEOUT - 1);
    expect([link.writableEnded, link.destroyed, gone.mock.calls.length]).toEqual([true, false, 0]);
    await pass(1);
    expect([link.destroyed, gone.mock.calls.length]).toEqual([true, 1]);
  });

  test('lets go of a transport that fails, and hears its error', async () => {
    const link = await opened();
    const { gone } = ending(link);
    link.fail();
    await settle();
    expect(gone).toHaveBeenCalledTimes(1);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('release() destroys it now, and calls back once', async () => {
    const link = await opened();
    const { parts, gone } = ending(link);
    parts.release();
    parts.release();
    expect([link.destroyed, gone.mock.calls.length, jest.getTimerCount()]).toEqual([true, 1, 0]);
  });

  test('one that has closed already is gone at once', async () => {
    const link = await opened();
    link.destroy();
    await settle();
    expect(ending(link).gone).toHaveBeenCalledTimes(1);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('setRef() reaches the transport', async () => {
    const link = await opened();
    const { parts } = ending(link);
    parts.setRef(false);
    expect(link.referenced).toBe(false);
    parts.release();
  });
});
