// A device that takes one command at a time: each is sent when the one before it is answered, and a ping is one of them.
// Run it: node examples/line-protocol.mjs
import { once } from 'node:events';
import { createServer } from 'node:net';
import { ReconnectingConnection } from 'reconnecting-connection';
import { Requests } from 'reconnecting-connection/requests';
import split2 from 'split2';
/** @import { AddressInfo } from 'node:net' */

// It needs 10 ms for a command, and says BUSY to what comes meanwhile.
const device = createServer((socket) => {
  let isBusy = false;
  socket.pipe(split2()).on('data', async (line) => {
    if (isBusy) return void socket.write('BUSY\n');
    isBusy = true;
    console.log(`device: ${line}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
    isBusy = false;
    if (line === 'REBOOT') socket.end('OK REB');
    else socket.write(`OK ${line}\n`, () => device.emit(line));
  });
});
await once(device.listen(0, '127.0.0.1'), 'listening');
const { port } = /** @type {AddressInfo} */ (device.address());

/** @type {ReconnectingConnection<string>} */
const connection = new ReconnectingConnection({ port, decoder: () => split2() });
const requests = new Requests(connection, { timeout: 5_000, gap: 5 });
const tell = async (/** @type {string} */ command) =>
  console.log(await requests.request(`${command}\n`).catch(({ code }) => `${command}: ${code}`));

connection.on('open', () => void tell('LOGIN secret'));
await Promise.all(['POWER ON', 'INPUT HDMI1', 'VOLUME 20'].map(tell));
const stop = requests.heartbeat('PING\n', { interval: 100 });
await once(device, 'PING');
stop();
await Promise.all(['REBOOT', 'VOLUME 30'].map(tell));
await connection.disconnect();
device.close();
