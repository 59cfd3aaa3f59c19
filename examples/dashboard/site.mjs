// Serves the page over HTTP, on this machine only. The host of a request must be this address, and an action must come
// from the page itself: other pages are refused, including those whose host name resolves to 127.0.0.1.
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname } from 'node:path';
/** @import { AddressInfo } from 'node:net' */
/** @import { IncomingMessage, ServerResponse } from 'node:http' */
/** @import { Action } from './messages.js' */

const page = new URL('page/', import.meta.url);
/** Longer requests are refused. */
const MOST_ASKED = 1024;

/** @type {Record<string, string>} */
const types = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
};

/** @type {readonly string[]} */
const actions = ['kill', 'mute', 'flap', 'revive', 'retire', 'disconnect', 'connect'];

/**
 * @typedef Host
 * @property {(response: ServerResponse) => void} follow Adds a page to the feed.
 * @property {(id: string, action: Action) => Promise<boolean>} act Carries out an action; false if that is impossible.
 */

/** Serves the page on a port of 127.0.0.1; 0 for any free port. @param {number} port @param {Host} host */
export async function serve(port, host) {
  const files = new Set((await readdir(page)).filter((name) => extname(name) in types));
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    respond(request, response, files, host).catch(() => response.destroy());
  });
  await once(server.listen(port, '127.0.0.1'), 'listening');
  const address = /** @type {AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${address.port}/`,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** @param {IncomingMessage} request @param {ServerResponse} response @param {Set<string>} files @param {Host} host */
async function respond(request, response, files, host) {
  const name = (request.url ?? '/').replace(/[?#].*$/, '').slice(1) || 'index.html';
  if (!isOurs(request.headers.host, request)) return end(response, 403);
  if (name === 'act') {
    if (request.method !== 'POST') return end(response, 405);
    if (!isFromPage(request)) return end(response, 403);
    return end(response, await act(request, host));
  }
  if (request.method !== 'GET') return end(response, 405);
  if (name === 'feed') return host.follow(response);
  if (!files.has(name)) return end(response, 404);
  const content = await readFile(new URL(name, page));
  response.setHeader('content-type', types[extname(name)] ?? '').end(content);
}

/** Whether `address` is the address of this server. @param {string | undefined} address @param {IncomingMessage} request */
function isOurs(address, { socket }) {
  return address === `127.0.0.1:${socket.localPort}` || address === `localhost:${socket.localPort}`;
}

/** Browsers send the origin of the page with such a request. @param {IncomingMessage} request */
function isFromPage({ headers }) {
  return headers.origin === `http://${headers.host}` && headers['content-type'] === 'application/json';
}

/** @param {IncomingMessage} request @param {Host} host @returns the status of the answer */
async function act(request, host) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MOST_ASKED) return 413;
  }
  try {
    const { id, action } = JSON.parse(text);
    if (typeof id !== 'string' || !actions.includes(action)) return 400;
    return (await host.act(id, action)) ? 204 : 404;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return 400;
    throw error;
  }
}

/** @param {ServerResponse} response @param {number} status */
function end(response, status) {
  response.writeHead(status).end();
}
