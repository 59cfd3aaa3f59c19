import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';

import { cleanUp, track } from '../kit/clean-up';
import { Dashboard } from './dashboard-server';

const page = join(__dirname, '..', '..', 'examples', 'dashboard', 'page');

let dashboard: Dashboard;
beforeAll(async () => {
  dashboard = await Dashboard.start();
});
afterEach(cleanUp);
afterAll(() => dashboard.destroy());

/** Sends a request, with any headers. */
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

/** The first message of the feed. */
async function hello(): Promise<{ servers: { id: string; mode: string; members: { id: string }[] }[] }> {
  const response = await ask('/feed');
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += String(chunk);
    const [, data] = /^data: (.*)\n\n/m.exec(text) ?? [];
    if (data !== undefined) return JSON.parse(data) as Awaited<ReturnType<typeof hello>>;
  }
  throw new Error(`Expected hello, got ${text}`);
}

async function modes(): Promise<string[]> {
  return (await hello()).servers.map(({ mode }) => mode);
}

/** The headers of the page itself. */
function own(): OutgoingHttpHeaders {
  return { origin: new URL(dashboard.url).origin, 'content-type': 'application/json' };
}

const killing = JSON.stringify({ id: 'birch', action: 'kill' });
const ALL_UP = ['up', 'up', 'up', 'up', 'up'];

describe('the dashboard', () => {
  test('prints its address, which only this machine can reach', async () => {
    const { hostname, port } = new URL(dashboard.url);
    expect(hostname).toBe('127.0.0.1');
    const elsewhere = connect(Number(port), '127.0.0.2');
    await expect(once(elsewhere, 'connect')).rejects.toThrow(/ECONNREFUSED|EADDRNOTAVAIL/);
  });

  test('serves its page with a policy that forbids other origins', async () => {
    const response = await ask('/');
    response.destroy();
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-security-policy']).toMatch(/^default-src 'none';.*frame-ancestors 'none'$/);
  });

  test.each(['/../main.mjs', '/%2e%2e/main.mjs', '/messages.ts', '/tsconfig.json', '/page/main.mjs', '/nothing'])(
    'serves no other file: %s',
    async (path) => {
      expect(await statusOf(path)).toBe(404);
    },
  );

  test.each(['/', '/feed', '/act'])('refuses %s to a page whose host name resolves to 127.0.0.1', async (path) => {
    const { port } = new URL(dashboard.url);
    const headers = { ...own(), host: `elsewhere.example:${port}`, origin: `http://elsewhere.example:${port}` };
    expect(await statusOf(path, headers, path === '/act' ? killing : undefined)).toBe(403);
    expect(await modes()).toEqual(ALL_UP);
  });

  test.each<[string, OutgoingHttpHeaders]>([
    ['another page', { origin: 'http://elsewhere.example' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }],
    ['a page with the origin null', { origin: 'null' }],
    ['a form', { 'content-type': 'text/plain' }],
    ['a request without an origin', { origin: undefined }],
  ])('refuses an action of %s', async (_who, headers) => {
    const given = Object.entries({ ...own(), ...headers }).filter(([, value]) => value !== undefined);
    expect(await statusOf('/act', Object.fromEntries(given), killing)).toBe(403);
    expect(await modes()).toEqual(ALL_UP);
  });

  test.each<[string, string, number]>([
    ['no JSON', '{', 400],
    ['null', 'null', 400],
    ['an unknown action', '{"id":"birch","action":"burn"}', 400],
    ['an unknown id', '{"id":"__proto__","action":"kill"}', 404],
    ['too many bytes', JSON.stringify({ id: 'x'.repeat(100_000), action: 'kill' }), 413],
  ])('answers a request with %s', async (_what, body, status) => {
    expect(await statusOf('/act', own(), body)).toBe(status);
  });

  test('carries out an action of its page', async () => {
    expect(await statusOf('/act', own(), killing)).toBe(204);
    expect(await modes()).toEqual(['up', 'down', 'up', 'up', 'up']);
    expect(await statusOf('/act', own(), JSON.stringify({ id: 'birch', action: 'revive' }))).toBe(204);
    expect(await modes()).toEqual(ALL_UP);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('ends after %s, although a page is connected', async (signal) => {
    const leaving = track(await Dashboard.start('--port', '0'));
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
  ])('rejects %j', async (parameters, reason) => {
    await expect(Dashboard.start(...parameters)).rejects.toThrow(reason);
  });

  test('rejects a port that is in use', async () => {
    const { port } = new URL(dashboard.url);
    await expect(Dashboard.start('--port', port)).rejects.toThrow(/^It ended with 2: listen EADDRINUSE/);
  });
});

describe('the colours of its page', () => {
  const css = readFileSync(join(page, 'theme.css'), 'utf8');
  const colours = [...css.matchAll(/--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)/g)];

  test.each(['light', 'dark'])('have a contrast of 4.5 to 1 for text and 3 to 1 for shapes (%s)', (theme) => {
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

/** By WCAG 2.2: 1 for equal colours, 21 for black on white. */
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
