import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { HELP } from '../../lib/command/help';
import { cutSocket } from '../../lib/testing/cut';
import { loadCertificates } from '../kit/certificates';
import { pattern } from '../kit/snippets';
import { COMMAND, closeAll, serve, serveRedis } from './desk';

const page = readFileSync(join(__dirname, '../../docs/command.md'), 'utf8');
const examples = [...page.matchAll(/^```sh\n([\s\S]*?)^```\n\n```text\n([\s\S]*?)^```$/gm)].map(([, sh, text]) => ({
  sh: sh!,
  text: text!,
}));

const directory = mkdtempSync(join(tmpdir(), 'command-page-'));
/** The servers of the page, by the ports that it shows. */
const ports = new Map<string, number>();

beforeAll(async () => {
  const { ca, server: pair } = await loadCertificates();
  writeFileSync(join(directory, 'ca.pem'), ca.cert);
  const web = await serve({
    tls: pair,
    onSession: (socket) => {
      // As a proxy of HTTP: it hangs up when the client has ended.
      socket.on('data', () => setTimeout(() => socket.writable && socket.end('HTTP/1.1 200 OK\r\n\r\nhello\n'), 50));
      socket.on('end', () => socket.destroy());
    },
  });
  let price = 0;
  const feed = await serve({
    onSession: (socket) => {
      socket.on('data', () => {
        socket.write(`price ${++price}\n`, () => setTimeout(() => cutSocket(socket, 'reset'), 50));
      });
    },
  });
  const closed = await serve();
  closed.refuse();
  ports.set('6379', (await serveRedis()).port);
  ports.set('8443', web.port);
  ports.set('5000', feed.port);
  ports.set('5140', (await serve()).port);
  ports.set('6380', closed.port);
});

afterAll(async () => {
  await closeAll();
  rmSync(directory, { recursive: true, force: true });
});

/** What a shell prints, on both outputs. */
function run(script: string): Promise<string> {
  return new Promise((resolve) => {
    execFile('bash', ['-c', `exec 2>&1\n${script}`], { cwd: directory }, (_error, stdout) => resolve(stdout));
  });
}

test('the page shows a few commands, and its last block is the help', () => {
  expect(examples.length).toBeGreaterThanOrEqual(5);
  expect(page).toContain(`\`\`\`text\n${HELP}\`\`\`\n`);
});

test.concurrent.each(examples)(
  'what the page shows is printed: $sh',
  async ({ sh, text }) => {
    let script = sh.replace('npx reconnecting-connection', `'${process.execPath}' '${COMMAND}'`);
    let expected = text;
    for (const [shown, port] of ports) {
      script = script.replaceAll(`:${shown}`, `:${port}`);
      expected = expected.replaceAll(`:${shown}`, `:${port}`);
    }
    const printed = (await run(script)).replaceAll('\r', '');

    expect(printed.trimEnd()).toMatch(pattern(expected.trimEnd()));
  },
  30_000,
);
