// Server-sent events to every page that is open.
/** @import { ServerResponse } from 'node:http' */
/** @import { Message } from './messages.js' */

/** A page that has not read this many bytes is gone, or will be told all anew when it comes back. */
const MOST_UNREAD = 1_048_576;

export class Feed {
  /** @type {Set<ServerResponse>} */
  #pages = new Set();

  /** One more page, which is told `hello` first. @param {ServerResponse} response @param {Message} hello */
  add(response, hello) {
    // `retry`: milliseconds until the browser tries again when the feed has ended.
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`retry: 1000\n\n${framed(hello)}`);
    this.#pages.add(response);
    response.on('close', () => this.#pages.delete(response));
  }

  /** Tells all of them. An arrow function, for it is handed around. */
  tell = (/** @type {Message} */ message) => {
    if (this.#pages.size === 0) return;
    const frame = framed(message);
    for (const page of this.#pages) {
      if (page.writableLength > MOST_UNREAD) page.destroy();
      else page.write(frame);
    }
  };
}

/** The type is in the data: events named `open`, `error` or `message` would be taken for EventSource's own. @param {Message} message */
function framed(message) {
  return `data: ${JSON.stringify(message)}\n\n`;
}
