// Draws canvases repeatedly, at the resolution of the screen, while they are visible.

/** @typedef {(context: CanvasRenderingContext2D, width: number, height: number) => void} Draw */

/** Milliseconds between drawings: the pictures move by less than a pixel meanwhile. */
const FRAME = 33;
/** The same with reduced motion. */
const STILL_FRAME = 1000;

/** @type {Map<Element, { canvas: HTMLCanvasElement, context: CanvasRenderingContext2D, draw: Draw }>} */
const acts = new Map();
/** @type {Set<Element>} */
const inSight = new Set();
const wantsNoMotion = matchMedia('(prefers-reduced-motion: reduce)');

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) inSight.add(target);
    else inSight.delete(target);
  }
});
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) fit(target);
});

/** Registers a function that draws a canvas, in CSS pixels. @param {HTMLCanvasElement} canvas @param {Draw} draw */
export function perform(canvas, draw) {
  const context = canvas.getContext('2d');
  if (context === null) return;
  acts.set(canvas, { canvas, context, draw });
  sight.observe(canvas);
  sizes.observe(canvas);
}

/** Forgets canvases that have left the page. */
export function clearStage() {
  for (const canvas of acts.keys()) {
    if (canvas.isConnected) continue;
    acts.delete(canvas);
    inSight.delete(canvas);
    sight.unobserve(canvas);
    sizes.unobserve(canvas);
  }
}

let drawnAt = -Infinity;
requestAnimationFrame(function frame(at) {
  requestAnimationFrame(frame);
  // Frames may be a little early.
  if (at - drawnAt < (wantsNoMotion.matches ? STILL_FRAME : FRAME) - 4) return;
  drawnAt = at;
  for (const canvas of inSight) paint(canvas);
});

/** @param {Element} target */
function fit(target) {
  const act = acts.get(target);
  if (act === undefined) return;
  const { canvas } = act;
  canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
  canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
  // A new size clears the canvas.
  paint(canvas);
}

/** @param {Element} target */
function paint(target) {
  const act = acts.get(target);
  if (act === undefined || act.canvas.width === 0) return;
  const { canvas, context, draw } = act;
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  const width = canvas.width / devicePixelRatio;
  const height = canvas.height / devicePixelRatio;
  context.clearRect(0, 0, width, height);
  draw(context, width, height);
}
