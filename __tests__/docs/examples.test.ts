import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..', '..');

type Line = string | RegExp;

/** Every line that each example prints. The lines of one list keep their order; lines of several lists may interleave. */
const expected: Record<string, Line[][]> = {
  'echo.mjs': [['open: session 1, attempts: 1', 'data: Hello, echo!', 'close: disconnected']],
  'graceful-shutdown.mjs': [
    [
      /^\d+ of 500000 bytes are on their way$/,
      'SIGTERM',
      'close: disconnected',
      'accepted 500000, confirmed 500000 bytes',
      'uncertain 0, dropped 0 bytes',
      'the server has received 500000 bytes',
    ],
  ],
  'handshake.mjs': [
    [
      'open: the token was right',
      /^backoff 1: The handshake with 127\.0\.0\.1:\d+ failed: Wrong token$/,
      /^backoff 2: The handshake with 127\.0\.0\.1:\d+ failed: Wrong token$/,
      'close: max-retries',
    ],
  ],
  'logger.mjs': [
    [
      /^127\.0\.0\.1:\d+: open, session 1$/,
      /^127\.0\.0\.1:\d+: lost session 1 after \d+ ms \(peer-end\)$/,
      /^127\.0\.0\.1:\d+: retry 1 in \d+ ms \(peer-end\)$/,
      /^127\.0\.0\.1:\d+: retry 2 in \d+ ms \(connect ECONNREFUSED 127\.0\.0\.1:\d+\)$/,
      /^127\.0\.0\.1:\d+: open, session 2 after \d+ attempts, on trial for [\d.]+ s$/,
      /^127\.0\.0\.1:\d+: back after \d+ attempts in \d+ ms$/,
      /^127\.0\.0\.1:\d+: closed \(disconnected\), session 2 after \d+ ms$/,
    ],
    [
      /^\{"level":30,.*"event":"open","tag":"127\.0\.0\.1:\d+","generation":1,.*"msg":".*: open, session 1"\}$/,
      /^\{"level":40,.*"event":"reset",.*"reason":"peer-end","msg":".*"\}$/,
      /^\{"level":40,.*"event":"backoff",.*"attempt":1,"delay":\d+,"reason":"peer-end","msg":".*"\}$/,
      /^\{"level":40,.*"event":"backoff",.*"attempt":2,.*"code":"ECONNREFUSED",.*"msg":".*"\}$/,
      /^\{"level":30,.*"event":"open",.*"trial":\d+,"heldBack":10,"msg":".*, on trial for [\d.]+ s"\}$/,
      /^\{"level":30,.*"event":"open",.*"attempts":\d+,"downtime":\d+,"msg":".*: back after .*"\}$/,
      /^\{"level":30,.*"event":"close",.*"reason":"disconnected",.*"msg":".*"\}$/,
    ],
  ],
  'modbus-tcp.mjs': [
    [
      'register 2: 1002',
      'register 3: 1003',
      'register 200: error 2',
      'register 1: 1001',
      'register 5: 1005',
      'register 6: 1006',
      'register 7: 1007',
      'register 8: 1008',
      'register 9: 1009',
      '10 ERR_DELIVERY_UNCERTAIN',
      'register 10: 1010',
    ],
  ],
  'pool.mjs': [
    [
      '3 of 3 members are open',
      /^127\.0\.0\.1:\d+: Ada got the first write$/,
      'Broadcast to 3 members',
      /^127\.0\.0\.1:\d+: Ada got the broadcast$/,
    ],
    [/^127\.0\.0\.1:\d+: Grace got the second write$/, /^127\.0\.0\.1:\d+: Grace got the broadcast$/],
    [/^127\.0\.0\.1:\d+: Edsger got the third write$/, /^127\.0\.0\.1:\d+: Edsger got the broadcast$/],
  ],
  'pipeline.mjs': [['The server is down: the pipeline waits', 'close: disconnected', '1000000 bytes came back']],
  'sessions.mjs': [
    [
      'session 1: welcome',
      'session 1: 5',
      'session 1: 7',
      'session 1 ended with 12 (read ECONNRESET)',
      'session 2: welcome',
      'session 2: 5',
      'session 2: 7',
      'session 2: 11',
      'session 2 ended with 23 (disconnected)',
      'The lifecycle is over, and so is the loop',
    ],
  ],
  'tls.mjs': [
    [
      'open: TLSv1.3 with localhost (DNS:localhost, IP Address:127.0.0.1)',
      'data: Nobody else can read this.',
      'close: disconnected',
    ],
  ],
  'unix-socket.mjs': [[/^open: unix:\/.+\.sock$/, 'data: Hello, neighbour!', 'close: disconnected']],
  'when-open.mjs': [
    [
      'After two attempts: ECONNREFUSED',
      'After 100 ms: ERR_ABORTED, TimeoutError',
      /^Still at it: (backoff|connecting)$/,
      /^Open: session 1, attempts: \d+$/,
      'Closed: disconnected',
    ],
  ],
};

const examples = readdirSync(join(root, 'examples')).filter(
  (file) => file.endsWith('.mjs') && !file.startsWith('demo'),
);

test('every example has an expected output here, and every output an example', () => {
  expect(examples.sort()).toEqual(Object.keys(expected).sort());
});

test.each(examples)('%s has at most 40 lines and says how to run it', (file) => {
  const lines = readFileSync(join(root, 'examples', file), 'utf8')
    .trimEnd()
    .split('\n');
  expect(lines.length).toBeLessThanOrEqual(40);
  expect(lines.slice(0, 2).join('\n')).toMatch(new RegExp(`^// .+\n// Run it: node examples/${file}$`));
});

test.concurrent.each(examples)(
  '%s prints the expected lines and exits',
  async (file) => {
    const { code, stdout, stderr } = await run(join('examples', file));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    const sources = expected[file] ?? [];
    for (const source of sources) {
      expect(lines.filter((line) => source.some((pattern) => matches(line, pattern)))).toEqual(source.map(asExpected));
    }
    expect(lines).toHaveLength(sources.flat().length);
  },
  20_000,
);

test.concurrent(
  'the demo prints its story as aligned plain text when stdout is not a terminal',
  async () => {
    const { code, stdout, stderr } = await run(join('examples', 'demo.mjs'));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).not.toContain('\x1b');
    expect(stdout).not.toContain('\r');

    const lines = stdout.split('\n').filter((line) => line !== '');
    const isAligned = /^(\d\. | {0,3}\d+\.\d\d s {2}(» |127\.0\.0\.1:\d{4,5} {2,3}(open|data|reset|backoff|close) ))/;
    expect(lines.filter((line) => !isAligned.test(line))).toEqual([]);

    expect(missing(story, lines)).toEqual([]);
    const pool = lines.slice(
      lines.findIndex((line) => line.startsWith('2. ')),
      -5,
    );
    const troubled = pool.flatMap((line) => /(\S+) +(?:reset|backoff) /.exec(line)?.[1] ?? []);
    expect(new Set(troubled).size).toBe(1);
  },
  30_000,
);

/** Lines that must come in this order, with any other lines in between. */
const story = [
  /^1\. /,
  / open +session 1 after 1 attempt$/,
  / data +process \d+ received "Are you there\?"$/,
  / » kill -9 \d+$/,
  / reset +session 1 ended after \d+\.\d\d s \((peer-end|ECONNRESET)\)$/,
  / backoff +retry 1 in 0\.\d\d s \((peer-end|ECONNRESET)\)$/,
  / backoff +retry 2 in 0\.\d\d s \(ECONNREFUSED\)$/,
  / » connection\.write\(\) while the server is down/,
  / backoff +retry 3 in [01]\.\d\d s \(ECONNREFUSED\)$/,
  / backoff +retry 4 in [12]\.\d\d s \(ECONNREFUSED\)$/,
  / open +session 2 after \d attempts, down for \d+\.\d\d s$/,
  / data +process \d+ received "Did this get lost\?"$/,
  /^2\. /,
  / open +session 1 after 1 attempt$/,
  / open +session 1 after 1 attempt$/,
  / open +session 1 after 1 attempt$/,
  / » pool\.broadcast\(\) reaches 3 members$/,
  / » kill -9 \d+$/,
  / reset +session 1 ended/,
  / backoff +retry 2 in/,
  / » pool\.write\(\) twice: 2 of 3 members are open/,
  / data +process \d+ received "(Who steps in|And who after that)\?"$/,
  / data +process \d+ received "(Who steps in|And who after that)\?"$/,
  / open +session 2 after \d attempts, down for/,
  / » pool\.broadcast\(\) reaches 3 members$/,
  /^3\. /,
  / » connection\.disconnect\(\) right after 1000 writes$/,
  / data +received 1000 lines, up to "order 1000"$/,
  / reset +session 2 ended after \d+\.\d\d s \(disconnected\)$/,
  / close +disconnected$/,
  / » every write is accounted for: 1002 accepted = 1002 confirmed \+ 0 uncertain \+ 0 dropped$/,
];

interface Outcome {
  readonly code: number | string | null | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script in a new process, from the root of the repository. */
function run(script: string): Promise<Outcome> {
  // Settings of the test run must not change the output of the script.
  const env = { ...process.env, FORCE_COLOR: undefined, NODE_OPTIONS: undefined };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [script], { cwd: root, env, timeout: 25_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (child.exitCode ?? child.signalCode), stdout, stderr });
    });
  });
}

function matches(line: string, pattern: Line): boolean {
  return typeof pattern === 'string' ? line === pattern : pattern.test(line);
}

function asExpected(pattern: Line): unknown {
  return typeof pattern === 'string' ? pattern : expect.stringMatching(pattern);
}

/** The patterns that did not match, when each is looked for after the line that the previous one matched. */
function missing(patterns: readonly RegExp[], lines: readonly string[]): readonly RegExp[] {
  let found = 0;
  for (const line of lines) if (patterns[found]?.test(line) === true) found += 1;
  return patterns.slice(found);
}
