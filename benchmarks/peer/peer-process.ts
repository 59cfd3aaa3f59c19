import { type AddressInfo, type Socket, createServer } from 'node:net';

// The program of a `Peer` where there is no compiler: it does what `peer.c` does, and says there what that is.

interface Group {
  readonly members: Set<Socket>;
  rounds: number;
}

const groups: readonly [Group, Group] = [
  { members: new Set(), rounds: 0 },
  { members: new Set(), rounds: 0 },
];
const trickle = { segment: Buffer.alloc(0), members: Infinity };
const sinks = { counted: 0, awaited: 0, waiter: undefined as Socket | undefined };

function serve(socket: Socket): void {
  let asked = Buffer.alloc(0);
  const onAsking = (chunk: Buffer) => {
    asked = Buffer.concat([asked, chunk]);
    for (let end = asked.indexOf('\n'); end >= 0; end = asked.indexOf('\n')) {
      const line = asked.toString('latin1', 0, end);
      asked = asked.subarray(end + 1);
      const listener = obey(socket, line);
      if (listener === undefined) continue;
      socket.off('data', onAsking).on('data', listener);
      if (asked.length > 0) listener(asked);
      return;
    }
  };
  socket
    .setNoDelay()
    .on('error', () => undefined)
    .on('data', onAsking);
  socket.on('close', () => groups.forEach(({ members }) => members.delete(socket)));
}

/** Does what a line asks for. Returns what becomes of the bytes that follow, unless it is another line. */
function obey(socket: Socket, line: string): ((chunk: Buffer) => void) | undefined {
  const [name, ...rest] = line.split(' ');
  const [one = 0, two = 0, three = 0] = rest.map(Number);
  switch (name) {
    case 'hold':
      return () => undefined;
    case 'quit':
      return process.exit();
    case 'sink':
      return (chunk) => {
        sinks.counted += chunk.length;
        tellWaiter();
      };
    case 'await':
      sinks.waiter = socket;
      sinks.awaited = one;
      tellWaiter();
      return undefined;
    case 'echo':
      return (chunk) => void socket.write(chunk);
    case 'reset':
      socket.resetAndDestroy();
      return () => undefined;
    case 'flood':
      flood(socket, Buffer.alloc(one, 'x'), two);
      return () => undefined;
    case 'member':
      groups[one === 0 ? 0 : 1].members.add(socket);
      beginToTrickle();
      return () => undefined;
    case 'trickle':
      trickle.segment = Buffer.alloc(one, 'x');
      trickle.members = two;
      for (const group of groups) group.rounds = three;
      beginToTrickle();
      return (chunk) => {
        for (const byte of chunk) sendTo(groups[byte === 0x30 ? 0 : 1]);
      };
    default:
      throw new Error(`What is ${line}?`);
  }
}

function tellWaiter(): void {
  if (sinks.waiter === undefined || sinks.counted < sinks.awaited) return;
  sinks.waiter.write(`${sinks.counted}\n`);
  sinks.waiter = undefined;
}

function flood(socket: Socket, block: Buffer, left: number): void {
  while (left > 0) {
    const chunk = block.subarray(0, left);
    left -= chunk.length;
    if (socket.write(chunk)) continue;
    socket.once('drain', () => flood(socket, block, left));
    return;
  }
}

function sendTo(group: Group): void {
  if (group.rounds === 0) return;
  group.rounds--;
  for (const member of group.members) member.write(trickle.segment);
}

function beginToTrickle(): void {
  if (groups[0].members.size + groups[1].members.size < trickle.members) return;
  trickle.members = Infinity;
  for (const group of groups) sendTo(group);
}

const [path] = process.argv.slice(2);
const server = createServer(serve);
server.listen(path === undefined ? { port: 0, host: '127.0.0.1', backlog: 4096 } : { path, backlog: 4096 }, () => {
  // `as`: where there is no path it listens on a port.
  const port = path === undefined ? (server.address() as AddressInfo).port : 0;
  process.stdout.write(`${port}\n`);
});
process.stdin.resume().on('end', () => process.exit());
