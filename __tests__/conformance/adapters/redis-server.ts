import type { Socket } from 'node:net';

/** The server's side of Redis on a new socket: what clients ask for before they call themselves ready, and pings. */
export function speakRedis(socket: Socket): void {
  let received = '';
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    for (let read = command(received); read !== undefined; read = command(received)) {
      received = read.rest;
      if (socket.writable) socket.write(answer(read.words));
    }
  });
}

/** The first command in `text`, an array of bulk strings, and what follows it. */
function command(text: string): { words: string[]; rest: string } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  const words: string[] = [];
  let at = head[0].length;
  while (words.length < Number(head[1])) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at));
    if (size === null) return undefined;
    const start = at + size[0].length;
    at = start + Number(size[1]) + '\r\n'.length;
    if (text.length < at) return undefined;
    words.push(text.slice(start, at - '\r\n'.length));
  }
  return { words, rest: text.slice(at) };
}

function answer([name = '', argument = '']: readonly string[]): string {
  switch (name.toUpperCase()) {
    case 'HELLO':
      return hello(argument);
    case 'INFO':
      return bulk('# Server\r\nredis_version:7.2.0\r\nredis_mode:standalone\r\nloading:0\r\nrole:master\r\n');
    case 'PING':
      return '+PONG\r\n';
    case 'CLIENT':
      return /^SET(?:INFO|NAME)$/i.test(argument) ? '+OK\r\n' : `-ERR unknown subcommand '${argument}'\r\n`;
    case 'QUIT':
    case 'SELECT':
      return '+OK\r\n';
    default:
      return `-ERR unknown command '${name}'\r\n`;
  }
}

function hello(protocol: string): string {
  const pairs = [
    [bulk('server'), bulk('redis')],
    [bulk('version'), bulk('7.2.0')],
    [bulk('proto'), `:${protocol}\r\n`],
    [bulk('id'), ':1\r\n'],
    [bulk('mode'), bulk('standalone')],
    [bulk('role'), bulk('master')],
    [bulk('modules'), '*0\r\n'],
  ].flat();
  return (protocol === '3' ? `%${pairs.length / 2}\r\n` : `*${pairs.length}\r\n`) + pairs.join('');
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}
