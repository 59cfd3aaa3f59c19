import { closeSync, existsSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { type Socket, createServer } from 'node:net';

import { decoderOf } from '../kit/protocols/frames';
import { parseLine } from './line-protocol';

// Appends each line that it gets to a file, and answers how many that has: node line-server-process.js <port> <file>. It says
// so to each new client too, whose session ends the one before. A line is `<position> <message>`; it does not look at the
// position, and a line that comes twice is there twice.
function main([port, path]: readonly string[]): void {
  const text = existsSync(path!) ? readFileSync(path!, 'latin1') : '';
  // A line that was cut off when this process was killed.
  const whole = text.lastIndexOf('\n') + 1;
  if (whole < text.length) truncateSync(path!, whole);
  let count = text.split('\n').length - 1;
  const file = openSync(path!, 'a');
  let current: Socket | undefined;
  createServer((socket) => {
    current?.destroy();
    current = socket;
    socket.on('error', () => undefined).write(`${count}\n`);
    socket.pipe(decoderOf(parseLine)()).on('data', (line: string) => {
      if (current !== socket || socket.destroyed) return;
      writeSync(file, `${line.slice(line.indexOf(' ') + 1)}\n`);
      count += 1;
      socket.write(`${count}\n`);
    });
  }).listen(Number(port), '127.0.0.1', () => writeSync(1, 'listening\n'));
  process.on('exit', () => closeSync(file));
}

main(process.argv.slice(2));
