// Connects the parts of the dashboard.
import { Crowds } from './crowds.mjs';
import { Feed } from './feed.mjs';
import { Grove } from './grove.mjs';
import { serve } from './site.mjs';
/** @import { ServerResponse } from 'node:http' */
/** @import { Action } from './messages.js' */

/** Milliseconds between updates of the figures, and so the width of a bar. */
const TICK = 250;

/** @param {number} port Where to serve the page; 0 for any free port. */
export async function startDashboard(port) {
  const feed = new Feed();
  const grove = await Grove.start(feed.tell);
  const crowds = await Crowds.start(feed.tell);

  /** @param {ServerResponse} response */
  const follow = (response) => {
    const { entries } = grove;
    const { downtimes } = crowds;
    const introductions = { servers: grove.introduce(), crowds: crowds.introduce() };
    feed.add(response, { type: 'hello', at: Date.now(), ...introductions, downtimes, entries });
  };
  /** @param {string} id @param {Action} action */
  const act = (id, action) => (id === 'crowds' ? crowds.act(action) : grove.act(id, action));

  const timer = setInterval(() => {
    const at = Date.now();
    feed.tell({ type: 'tick', at, ...grove.figures(at), crowds: crowds.figures(at) });
  }, TICK);

  const stopAll = async () => {
    clearInterval(timer);
    await Promise.all([grove.stop(), crowds.stop()]);
  };
  try {
    const { url, stop } = await serve(port, { follow, act });
    return {
      url,
      async stop() {
        stop();
        await stopAll();
      },
    };
  } catch (error) {
    await stopAll();
    throw error;
  }
}
