// Sends events to every open page (server-sent events).
/** @import { ServerResponse } from 'node:http' */
/** @import { Message } from './messages.js' */

/** With more unread bytes, a page is disconnected; it gets everything again when it reconnects. */
const MOST_UNREAD = 1_048_576;

export class Feed {
  /** @type {Set<ServerResponse>} */
  #pages = new Set();

  /** Adds a page, and sends `hello` to it. @param {ServerResponse} response @param {Message} hello */
  add(response, hello) {
    // `retry`: milliseconds until the browser tries again when the feed has ended.
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`retry: 1000\n\n${framed(hello)}`);
    this.#pages.add(response);
    response.on('close', () => this.#pages.delete(response));
  }

  /** Sends a message to all pages. An arrow function, because it is passed as a callback. */
  tell = (/** @type {Message} */ message) => {
    if (this.#pages.size === 0) return;
    const frame = framed(message);
    for (const page of this.#pages) {
      if (page.writableLength > MOST_UNREAD) page.destroy();
      else page.write(frame);
    }
  };
}

/** The type is in the data, because `open`, `error` and `message` are EventSource's own event names. @param {Message} message */
function framed(message) {
  return `data: ${JSON.stringify(message)}\n\n`;
}
