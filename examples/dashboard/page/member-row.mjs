// The row of a member: its name, phase, timeline and throughput.
/** @import { MemberFigures, MemberIntroduction, Phase, Step } from '../messages.js' */
import { now, rate, seconds } from './clock.mjs';
import { ask, find, findCanvas, make, onPress, write } from './dom.mjs';
import { drawLane } from './lane.mjs';
import { drawPhase } from './shapes.mjs';
import { perform } from './stage.mjs';

/** Milliseconds of history. */
const MEMORY = 70_000;

export class MemberRow {
  element = make('member-template');
  #parts = {
    session: find(this.element, '.session'),
    phase: find(this.element, '.phase > span'),
    countdown: find(this.element, 'time'),
    lane: findCanvas(this.element, '.lane'),
    rate: find(this.element, '.rate'),
    queue: find(this.element, '.queue'),
    button: find(this.element, 'button'),
  };
  /** @type {readonly Step[]} */
  #steps = [];
  #refused = Infinity;
  /** @type {number | undefined} */
  #ejectedUntil;

  /** @param {MemberIntroduction} introduction */
  constructor({ id, name, steps }) {
    this.id = id;
    this.#name = name;
    this.element.id = id;
    write(find(this.element, 'b'), name);
    perform(findCanvas(this.element, '.swatch'), (context, width, height) =>
      drawPhase(context, this.phase, 0, width, height),
    );
    perform(this.#parts.lane, (context, width, height) => drawLane(context, width, height, this.#steps));
    onPress(this.#parts.button, () => ask(id, this.phase === 'closed' ? 'connect' : 'disconnect'));
    for (const step of steps) this.step(step);
  }

  #name;

  /** @returns {Phase} */
  get phase() {
    return this.#steps.at(-1)?.phase ?? 'idle';
  }

  /** @param {Step} step */
  step(step) {
    const since = this.#steps.findLastIndex(({ at }) => at < now() - MEMORY);
    this.#steps = [...this.#steps.slice(Math.max(0, since)), step];
    const { phase, generation, where } = step;
    const { lane, button } = this.#parts;
    if (where !== undefined) write(find(this.element, 'b'), where);
    this.element.dataset['phase'] = phase;
    write(this.#parts.phase, phase === 'waiting' ? 'at the gate' : phase);
    write(button, phase === 'closed' ? 'Connect' : 'Disconnect');
    button.setAttribute('aria-label', `${button.textContent} ${this.#name}`);
    lane.setAttribute('aria-label', `${this.#name}: ${phase}, ${generation} sessions so far`);
    this.countDown();
  }

  /** Shows the rest of its wait, and of its ejection. */
  countDown() {
    const { phase, until = 0, generation = 0 } = this.#steps.at(-1) ?? {};
    const ejected =
      this.#ejectedUntil === undefined ? undefined : `ejected ${seconds(Math.max(0, this.#ejectedUntil - now()))}`;
    this.element.classList.toggle('ejected', ejected !== undefined);
    write(this.#parts.session, ejected ?? (generation === 0 ? '' : `session ${generation}`));
    write(this.#parts.countdown, phase === 'backoff' ? seconds(Math.max(0, until - now())) : '');
  }

  /** @param {MemberFigures} figures */
  show(figures) {
    const { queue } = this.#parts;
    this.#ejectedUntil = figures.ejectedUntil;
    this.countDown();
    write(this.#parts.rate, rate(figures.rate));
    // Writes were refused since the last update, so the queue is full: a closed member refuses them with an empty one.
    const isFull = figures.refused > this.#refused && figures.queued > 0;
    this.#refused = figures.refused;
    queue.classList.toggle('full', isFull);
    write(queue, isFull ? 'queue full' : `${figures.queued} queued`);
  }
}
