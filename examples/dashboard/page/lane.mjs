// The timeline of a member: the past is to the left of the line for now, the planned dial to its right.
/** @import { Step } from '../messages.js' */
import { now } from './clock.mjs';
import { FONT, drawPhase, drawPlan } from './shapes.mjs';
import { palette } from './theme.mjs';

/** Milliseconds of the future that are shown: the longest wait of the default backoff. */
const AHEAD = 8_000;
/** Pixels a second, and the bounds of the history that is shown, in milliseconds. */
const PIXELS = 12;
const LEAST_BACK = 16_000;
const MOST_BACK = 60_000;
/** Height of a lane; below it are the seconds, if the canvas is higher. */
const HEIGHT = 32;

/** @param {CanvasRenderingContext2D} context @param {number} width @param {number} total @param {readonly Step[]} steps */
export function drawLane(context, width, total, steps) {
  const colours = palette();
  const height = Math.min(total, HEIGHT);
  const back = Math.min(MOST_BACK, Math.max(LEAST_BACK, (width / PIXELS) * 1000 - AHEAD));
  const scale = width / (back + AHEAD);
  const present = now();
  /** @param {number} at */
  const place = (at) => (at - present + back) * scale;
  const middle = place(present);

  context.fillStyle = colours.sunk;
  context.fillRect(0, 0, middle, height);
  drawSeconds(context, back, scale, height, total > height);

  steps.forEach((step, index) => {
    const end = Math.min(middle, place(steps[index + 1]?.at ?? present));
    const start = place(step.at);
    if (end < 0 || start > middle) return;
    // A gap shows where one session ends and the next begins.
    drawPhase(context, step.phase, start, end - start - (end === middle ? 0 : 1), height);
    if (step.phase === 'open') drawSession(context, step, Math.max(0, start), end, height);
  });

  const { phase, until = 0 } = steps.at(-1) ?? {};
  if (phase === 'backoff' && until > present) drawPlan(context, middle, place(until) - middle, height);
  context.fillStyle = colours.ink;
  context.fillRect(Math.round(middle) - 1, 0, 2, total > height ? height + 3 : height);
}

/** @param {CanvasRenderingContext2D} context @param {number} back @param {number} scale @param {number} height @param {boolean} inWords */
function drawSeconds(context, back, scale, height, inWords) {
  const colours = palette();
  context.font = FONT;
  context.textAlign = 'center';
  context.textBaseline = 'alphabetic';
  for (let second = -10 * Math.floor(back / 10_000); second <= AHEAD / 1000; second += 5) {
    if (second % 10 !== 0 && second !== 5) continue;
    const x = (back + second * 1000) * scale;
    context.fillStyle = colours.rule;
    context.fillRect(Math.round(x), 0, 1, height);
    context.fillStyle = colours.quiet;
    const text = second === 0 ? 'now' : second > 0 ? `in ${second} s` : `−${-second} s`;
    if (inWords && x > 14) context.fillText(text, x, height + 14);
  }
}

/** @param {CanvasRenderingContext2D} context @param {Step} step @param {number} start @param {number} end @param {number} height */
function drawSession(context, { generation, where = 'session' }, start, end, height) {
  const text = end - start > 80 ? `${where} ${generation}` : String(generation);
  if (end - start < 10 * text.length && end - start < 70) return;
  context.fillStyle = palette()['on-open'];
  context.textAlign = 'left';
  context.textBaseline = 'middle';
  context.fillText(text, start + 6, height / 2 + 0.5);
}
