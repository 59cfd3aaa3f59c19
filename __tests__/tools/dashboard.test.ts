import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';

import { Dashboard } from './dashboard-server';

const page = join(__dirname, '..', '..', 'examples', 'dashboard', 'page');

let dashboard: Dashboard;
beforeAll(async () => {
  dashboard = await Dashboard.start();
});
afterAll(() => Promise.all([dashboard, ...leavers].map((each) => each.destroy())));

/** Those that are to leave by themselves, and may not. */
const leavers: Dashboard[] = [];

/** Asks for something, with headers that no browser would let a page set. */
async function ask(path: string, headers: OutgoingHttpHeaders = {}, body?: string): Promise<IncomingMessage> {
  const { port } = new URL(dashboard.url);
  const method = body === undefined ? 'GET' : 'POST';
  const asked = request({ host: '127.0.0.1', port, path, method, headers });
  asked.end(body);
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return response;
}

async function statusOf(...parameters: Parameters<typeof ask>): Promise<number | undefined> {
  const response = await ask(...parameters);
  response.destroy();
  return response.statusCode;
}

/** What a page is told first. */
async function hello(): Promise<{ servers: { id: string; mode: string; members: { id: string }[] }[] }> {
  const response = await ask('/feed');
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += String(chunk);
    const [, data] = /^data: (.*)\n\n/m.exec(text) ?? [];
    if (data !== undefined) return JSON.parse(data) as Awaited<ReturnType<typeof hello>>;
  }
  throw new Error(`There was no hello: ${text}`);
}

async function modes(): Promise<string[]> {
  return (await hello()).servers.map(({ mode }) => mode);
}

/** The headers of the page itself. */
function own(): OutgoingHttpHeaders {
  return { origin: new URL(dashboard.url).origin, 'content-type': 'application/json' };
}

const killing = JSON.stringify({ id: 'birch', action: 'kill' });
const EVERYONE_UP = ['up', 'up', 'up', 'up'];

describe('the dashboard', () => {
  test('says where it is, on this machine alone', async () => {
    const { hostname, port } = new URL(dashboard.url);
    expect(hostname).toBe('127.0.0.1');
    const elsewhere = connect(Number(port), '127.0.0.2');
    await expect(once(elsewhere, 'connect')).rejects.toThrow(/ECONNREFUSED|EADDRNOTAVAIL/);
  });

  test('gives out its page, which may load and ask nothing from elsewhere', async () => {
    const response = await ask('/');
    response.destroy();
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-security-policy']).toMatch(/^default-src 'none';.*frame-ancestors 'none'$/);
  });

  test.each(['/../main.mjs', '/%2e%2e/main.mjs', '/messages.ts', '/tsconfig.json', '/page/main.mjs', '/nothing'])(
    'gives out nothing else: %s',
    async (path) => {
      expect(await statusOf(path)).toBe(404);
    },
  );

  test.each(['/', '/feed', '/act'])('refuses %s to a page whose name only resolves to here', async (path) => {
    const { port } = new URL(dashboard.url);
    const headers = { ...own(), host: `elsewhere.example:${port}`, origin: `http://elsewhere.example:${port}` };
    expect(await statusOf(path, headers, path === '/act' ? killing : undefined)).toBe(403);
    expect(await modes()).toEqual(EVERYONE_UP);
  });

  test.each<[string, OutgoingHttpHeaders]>([
    ['another page', { origin: 'http://elsewhere.example' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }],
    ['a page without an origin', { origin: 'null' }],
    ['a form', { 'content-type': 'text/plain' }],
    ['nobody', { origin: undefined }],
  ])('does nothing that %s asks for', async (_who, headers) => {
    const given = Object.entries({ ...own(), ...headers }).filter(([, value]) => value !== undefined);
    expect(await statusOf('/act', Object.fromEntries(given), killing)).toBe(403);
    expect(await modes()).toEqual(EVERYONE_UP);
  });

  test.each<[string, string, number]>([
    ['no JSON', '{', 400],
    ['null', 'null', 400],
    ['an action that there is not', '{"id":"birch","action":"burn"}', 400],
    ['somebody who is not there', '{"id":"__proto__","action":"kill"}', 404],
    ['more than it reads', JSON.stringify({ id: 'x'.repeat(100_000), action: 'kill' }), 413],
  ])('answers a page that asks for %s', async (_what, body, status) => {
    expect(await statusOf('/act', own(), body)).toBe(status);
  });

  test('does what its page asks for, and tells every page of it', async () => {
    expect(await statusOf('/act', own(), killing)).toBe(204);
    expect(await modes()).toEqual(['up', 'down', 'up', 'up']);
    expect(await statusOf('/act', own(), JSON.stringify({ id: 'birch', action: 'revive' }))).toBe(204);
    expect(await modes()).toEqual(EVERYONE_UP);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('leaves at %s by itself, with pages that listen', async (signal) => {
    const leaving = await Dashboard.start('--port', '0');
    leavers.push(leaving);
    const { port } = new URL(leaving.url);
    const listening = request({ host: '127.0.0.1', port, path: '/feed' }).on('error', () => undefined);
    listening.end();
    const [response] = (await once(listening, 'response')) as [IncomingMessage];
    response.on('error', () => undefined).resume();

    expect(await leaving.end(signal)).toEqual([0, null]);
    expect(leaving.stderr).toBe('');
  });

  test.each([
    [['--port', 'x'], /Expected `--port` to be a number from 0 to 65535, got `x`/],
    [['--port', '65536'], /got `65536`/],
    [['--prot', '1'], /Unknown option '--prot'/],
  ])('does not start with %j, and says why', async (parameters, reason) => {
    await expect(Dashboard.start(...parameters)).rejects.toThrow(reason);
  });

  test('does not start on a port that is taken', async () => {
    const { port } = new URL(dashboard.url);
    await expect(Dashboard.start('--port', port)).rejects.toThrow(/^It ended with 2: listen EADDRINUSE/);
  });
});

describe('the colours of its page', () => {
  const css = readFileSync(join(page, 'theme.css'), 'utf8');
  const colours = [...css.matchAll(/--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)/g)];

  test.each(['light', 'dark'])('can be read: text has 4.5 to 1, shapes 3 to 1 (%s)', (theme) => {
    const of = new Map(colours.map(([, name = '', light, dark]) => [name, (theme === 'light' ? light : dark) ?? '']));
    expect(of.size).toBe(14);
    const texts = ['ink', 'quiet', 'lost', 'open'].flatMap((text) =>
      ['ground', 'panel', 'sunk'].map((ground) => [text, ground, 4.5] as const),
    );
    const shapes = ['open', 'connecting', 'waiting', 'backoff', 'closed', 'edge'].flatMap((shape) =>
      ['panel', 'sunk'].map((ground) => [shape, ground, 3] as const),
    );
    const pairs = [...texts, ...shapes, ['on-open', 'open', 4.5] as const];
    const faint = pairs.filter(([one, other, least]) => contrast(of.get(one) ?? '', of.get(other) ?? '') < least);
    expect(faint).toEqual([]);
  });
});

/** As WCAG 2.2 defines it: from 1 for the same to 21 for black on white. */
function contrast(one: string, other: string): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5]
    .map((at) => parseInt(colour.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
