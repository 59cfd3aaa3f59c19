// Every fault of `kit/kernel`, done to plain sockets. Played in a private network: see `inPrivateNetwork`.
import * as kernel from '../kit/kernel';
import { PlainSocket } from '../kit/plain-socket';
import { Loopback } from '../kit/server';
import { until } from '../kit/until';

/** Long enough for what comes at all on a loopback to come. */
const A_WHILE = 150;

async function echoed(): Promise<{ server: Loopback; client: PlainSocket }> {
  const server = await Loopback.start({ echo: true });
  const client = await PlainSocket.open(server.target);
  await client.echo('hello');
  return { server, client };
}

/** What a dial comes to: `connect`, or the code of its error, or silence. */
async function dial(options: object): Promise<string> {
  const client = new PlainSocket(options);
  await Promise.race([until(() => client.events.length > 0), client.isSilentFor(A_WHILE)]);
  client.socket.destroy();
  return client.events[0] ?? 'silence';
}

export async function partition(way: kernel.Way) {
  const { server, client } = await echoed();
  kernel.partition(server.port, way);
  client.write('lost?');
  const silent = await client.isSilentFor(A_WHILE);
  const arrived = server.text();
  const dialled = await dial(server.target);
  kernel.heal();
  await client.receives(10);
  return { silent, arrived, dialled, afterwards: client.received, events: client.events };
}

export async function rejectWithReset() {
  const { server, client } = await echoed();
  kernel.rejectWithReset(server.port);
  const silent = await client.isSilentFor(A_WHILE);
  client.write('bye');
  await client.waitFor('close');
  const dialled = await dial(server.target);
  kernel.heal();
  return { silent, events: client.events, live: server.live, dialled, afterwards: await dial(server.target) };
}

export async function lose(percent: number) {
  const { server, client } = await echoed();
  kernel.lose(server.port, percent);
  const before = kernel.sentAgain();
  for (let turn = 0; turn < 10; turn++) await client.echo('turn');
  return { events: client.events, receivedBytes: client.receivedBytes, sentAgain: kernel.sentAgain() - before };
}

export async function cutAfter(bytes: number) {
  const { server, client } = await echoed();
  kernel.cutAfter(server.port, bytes);
  while (!client.events.includes('close')) {
    client.write('x');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return { events: client.events, arrived: server.receivedBytes - 5 };
}

export async function killSockets(whose: 'server' | 'client' | 'both') {
  const { server, client } = await echoed();
  const errors: string[] = [];
  server.latest.on('error', ({ code = 'no code' }: NodeJS.ErrnoException) => errors.push(code));
  const killed = kernel.killSockets(server.port, whose);
  await client.waitFor('close');
  await server.until(() => server.live === 0);
  return { killed, events: client.events, errors, dialled: await dial(server.target) };
}

export async function refuse(answer: 'port-unreachable' | 'host-unreachable' | 'admin-prohibited') {
  const { server, client } = await echoed();
  kernel.refuse(server.port, answer);
  const dialled = await dial(server.target);
  client.write('held?');
  const silent = await client.isSilentFor(A_WHILE);
  kernel.heal();
  await client.receives(10);
  return { dialled, silent, events: client.events };
}

/** Dials until the ports are used up, which are ten. */
export async function fewPorts() {
  kernel.ephemeralPorts(41_000, 41_009);
  const server = await Loopback.start();
  const clients: PlainSocket[] = [];
  for (let count = 0; count < 11; count++) {
    const client = new PlainSocket(server.target);
    clients.push(client);
    await until(() => client.events.length > 0);
  }
  const answers = clients.map(({ events }) => events[0]);
  return { opened: answers.filter((answer) => answer === 'connect').length, last: answers.at(-1) };
}

/** Dials the one port that the kernel has to give. */
export async function selfConnect() {
  kernel.ephemeralPorts(41_000, 41_001);
  for (let dials = 1; dials <= 20; dials++) {
    const client = new PlainSocket({ port: 41_000, host: '127.0.0.1' });
    await until(() => client.events.length > 0);
    const { localPort, remotePort } = client.socket;
    if (client.events[0] === 'connect')
      return { localPort, remotePort, echo: await client.echo('me?').then(() => client.received) };
  }
  return undefined;
}

export async function linkDown() {
  const { server, client } = await echoed();
  kernel.linkDown();
  client.write('later');
  const silent = await client.isSilentFor(A_WHILE);
  const dialled = await dial(server.target);
  kernel.linkUp();
  await client.receives(10);
  return { silent, dialled, afterwards: client.received, events: client.events };
}

export async function limitRetransmissions() {
  kernel.limitRetransmissions({ data: 1, syn: 1 });
  const { server, client } = await echoed();
  kernel.partition(server.port);
  const late = new PlainSocket(server.target);
  client.write('lost');
  await Promise.all([client.waitFor('close'), late.waitFor('close')]);
  return { established: client.events, dialled: late.events };
}

export async function routes() {
  const target = { port: 9, host: '192.0.2.1' };
  const answers: Record<string, string> = { none: await dial(target) };
  for (const kind of ['blackhole', 'unreachable', 'prohibit'] as const) {
    kernel.route(kind, target.host);
    answers[kind] = await dial(target);
  }
  kernel.unroute(target.host);
  const unrouted = await dial(target);
  kernel.assign(target.host);
  const assigned = await dial(target);
  kernel.unassign(target.host);
  return { ...answers, unrouted, assigned, unassigned: await dial(target) };
}
