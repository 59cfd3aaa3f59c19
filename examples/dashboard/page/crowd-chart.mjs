// The dials of a crowd, with a bar for each quarter of a second.
/** @import { Bucket, CrowdFigures, CrowdIntroduction, Downtime } from '../messages.js' */
import { now, seconds } from './clock.mjs';
import { find, findCanvas, make, write } from './dom.mjs';
import { FONT } from './shapes.mjs';
import { perform } from './stage.mjs';
import { palette } from './theme.mjs';

/** @type {Record<string, { title: string, policy: string }>} */
const titles = {
  plain: { title: 'Plain exponential', policy: '250 ms doubling to 8 s, no jitter' },
  jitter: { title: 'With jitter', policy: 'anything up to the same waits' },
  pool: { title: 'This library by default', policy: 'jitter, and one member dials first' },
};

/** Milliseconds of history. */
const MEMORY = 70_000;
/** Seconds that are shown, if a second gets this range of pixels. */
const SPAN = 60;
const LEAST_PIXELS = 8;
const MOST_PIXELS = 14;
const FOOT = 16;
const HEAD = 14;

export class CrowdChart {
  element = make('crowd-template');
  #outcome = find(this.element, '.outcome');
  #canvas = findCanvas(this.element, 'canvas');
  /** @type {readonly Bucket[]} */
  #buckets;
  /** @type {() => readonly Downtime[]} */
  #downtimes;
  #size;

  /** @param {CrowdIntroduction} introduction @param {() => readonly Downtime[]} downtimes */
  constructor({ id, size, buckets }, downtimes) {
    this.id = id;
    this.#size = size;
    this.#buckets = buckets;
    this.#downtimes = downtimes;
    const { title = id, policy = '' } = titles[id] ?? {};
    this.element.id = `crowd-${id}`;
    write(find(this.element, 'h3'), title);
    write(find(this.element, '.policy'), policy);
    perform(this.#canvas, (context, width, height) => this.#draw(context, width, height));
  }

  /** @param {CrowdFigures} figures */
  show({ bucket, waiting, gate, outage }) {
    this.#buckets = [...this.#buckets.filter(({ to }) => to > bucket.to - MEMORY), bucket];
    const held = waiting > 0 ? `${waiting} wait at the gate` : '';
    const dials = outage ? `${outage.dials} dials in vain, up to ${outage.busiest} in one bar` : '';
    const end = outage?.backAfter === undefined ? '' : `all back after ${seconds(outage.backAfter)}`;
    const parts = [`${bucket.open} of ${this.#size} open`, gate ? `gate ${gate}` : '', held, dials, end];
    write(this.#outcome, parts.filter((part) => part !== '').join(' · '));
    this.#canvas.setAttribute('aria-label', `Dials over time. ${this.#outcome.textContent}`);
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width @param {number} total */
  #draw(context, width, total) {
    const colours = palette();
    const base = total - FOOT;
    const pixels = Math.min(MOST_PIXELS, Math.max(LEAST_PIXELS, width / SPAN));
    const present = now();
    /** @param {number} at */
    const place = (at) => width - ((present - at) * pixels) / 1000;

    context.fillStyle = colours.sunk;
    context.fillRect(0, HEAD, width, base - HEAD);
    this.#drawDowntimes(context, place, base);
    drawGrid(context, width, base, pixels);
    context.textAlign = 'left';
    context.fillText(`${this.#size} dials`, 0, HEAD - 3);

    context.fillStyle = colours.connecting;
    for (const { from, to, dials } of this.#buckets) {
      const left = place(from);
      if (dials === 0 || place(to) < 0) continue;
      const height = Math.max(1.5, ((base - HEAD) * Math.min(dials, this.#size)) / this.#size);
      context.fillRect(left, base - height, Math.max(1, place(to) - left - 0.75), height);
    }
    context.fillStyle = colours.edge;
    context.fillRect(0, base, width, 1);
  }

  /** @param {CanvasRenderingContext2D} context @param {(at: number) => number} place @param {number} base */
  #drawDowntimes(context, place, base) {
    const { lost, open, backoff } = palette();
    context.font = FONT;
    context.textAlign = 'left';
    context.textBaseline = 'alphabetic';
    for (const { from, to } of this.#downtimes()) {
      const right = place(to ?? now());
      if (right < -60) continue;
      context.globalAlpha = 0.1;
      context.fillStyle = backoff;
      context.fillRect(place(from), HEAD, right - place(from), base - HEAD);
      context.globalAlpha = 1;
      context.fillStyle = lost;
      context.fillRect(place(from), HEAD, 1, base - HEAD);
      context.fillText('killed', Math.max(58, place(from)), HEAD - 3);
      if (to === undefined) continue;
      context.fillStyle = open;
      context.fillRect(right, HEAD, 1, base - HEAD);
      if (right > 96) context.fillText('revived', right, HEAD - 3);
    }
  }
}

/** @param {CanvasRenderingContext2D} context @param {number} width @param {number} base @param {number} pixels Of a second. */
function drawGrid(context, width, base, pixels) {
  const { quiet, rule } = palette();
  context.font = FONT;
  context.textBaseline = 'alphabetic';
  context.textAlign = 'center';
  for (let second = 10; second * pixels < width - 16; second += 10) {
    const x = Math.round(width - second * pixels);
    context.fillStyle = rule;
    context.fillRect(x, HEAD, 1, base - HEAD);
    context.fillStyle = quiet;
    context.fillText(`−${second} s`, x, base + 14);
  }
  context.textAlign = 'right';
  context.fillText('now', width, base + 14);
}
