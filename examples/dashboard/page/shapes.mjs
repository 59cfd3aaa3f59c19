// The shape and the colour of each state.
/** @import { Phase } from '../messages.js' */
import { palette } from './theme.mjs';

/** The font on a canvas. */
export const FONT = '11px Inter, system-ui, sans-serif';

/** The states in the legend, in order. @type {readonly (readonly [Phase, string])[]} */
export const legend = [
  ['open', 'open'],
  ['connecting', 'connecting'],
  ['waiting', 'at the gate'],
  ['backoff', 'backoff'],
  ['closed', 'closed'],
];

/** Draws a piece of a lane. @param {CanvasRenderingContext2D} context @param {Phase} phase @param {number} x @param {number} width @param {number} height */
export function drawPhase(context, phase, x, width, height) {
  const colours = palette();
  switch (phase) {
    case 'open':
      context.fillStyle = colours.open;
      box(context, x, 0, width, height);
      context.fill();
      return;
    case 'connecting':
      stripes(context, x, width, height, colours.connecting);
      return;
    case 'waiting':
      dots(context, x, width, height, colours.waiting);
      return;
    case 'backoff':
      context.fillStyle = colours.backoff;
      box(context, x, height * 0.64, width, height * 0.36);
      context.fill();
      return;
    default:
      context.fillStyle = colours.closed;
      context.fillRect(x, height - 2, width, 2);
  }
}

/** Draws the rest of a wait, and the dial at its end. @param {CanvasRenderingContext2D} context @param {number} x @param {number} width @param {number} height */
export function drawPlan(context, x, width, height) {
  const colours = palette();
  context.strokeStyle = colours.backoff;
  context.lineWidth = 1.5;
  box(context, x, height * 0.64 + 0.75, width, height * 0.36 - 1.5);
  context.stroke();
  context.fillStyle = colours.backoff;
  context.beginPath();
  context.arc(x + width, height * 0.82, 4, 0, 2 * Math.PI);
  context.fill();
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} width @param {number} height */
function box(context, x, y, width, height) {
  context.beginPath();
  const least = Math.max(width, 1);
  context.roundRect(x, y, least, height, Math.min(3, least / 3));
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} width @param {number} height @param {string} colour */
function stripes(context, x, width, height, colour) {
  context.save();
  box(context, x, 0, Math.max(width, 2), height);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 2.5;
  context.beginPath();
  for (let left = x - height; left < x + width; left += 6) {
    context.moveTo(left, height + 1);
    context.lineTo(left + height + 1, 0);
  }
  context.stroke();
  // Short ones are filled, to be visible.
  if (width < 6) {
    context.fillStyle = colour;
    context.fillRect(x, 0, Math.max(width, 2), height);
  }
  context.restore();
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} width @param {number} height @param {string} colour */
function dots(context, x, width, height, colour) {
  context.fillStyle = colour;
  context.beginPath();
  for (let left = x + 2; left <= x + Math.max(width, 3); left += 7) {
    context.moveTo(left + 2, height / 2);
    context.arc(left, height / 2, 2, 0, 2 * Math.PI);
  }
  context.fill();
}
