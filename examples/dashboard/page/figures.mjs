// The figures of the pool: its stats, its throughput, and the outcome of every write.
/** @import { Tick } from '../messages.js' */
import { rate } from './clock.mjs';
import { find, write } from './dom.mjs';

const count = new Intl.NumberFormat('en');

/** @param {string} name @param {string} text @param {string} [unit] */
function set(name, text, unit = '') {
  const element = find(document, `[data-figure=${name}]`);
  if (element.textContent === text + unit) return;
  const small = document.createElement('small');
  small.textContent = unit;
  element.replaceChildren(text, small);
}

/** @param {Tick} tick @param {number} size How many members there are, closed ones too. */
export function showFigures({ pool, writes, members }, size) {
  const { accepted, confirmed, uncertain, dropped, queued, refused } = writes;
  const total = members.reduce((sum, member) => sum + member.rate, 0);
  const [amount = '', unit = ''] = rate(total).split(' ');
  set('open', String(pool.open), ` of ${size}`);
  // The members at the gate are `connecting`, too.
  set('connecting', String(Math.max(0, pool.connecting - pool.waiting)));
  set('waiting', String(pool.waiting));
  set('backoff', String(pool.backoff));
  set('queued', count.format(queued.writes));
  set('rate', amount, ` ${unit}`);
  const parts = [
    `${count.format(confirmed.writes)} confirmed`,
    `${count.format(uncertain.writes)} uncertain`,
    `${count.format(dropped.writes)} dropped`,
    `${count.format(queued.writes)} queued`,
  ];
  const refusals = `${count.format(refused.writes)} refused by a full queue or a closed member`;
  write(
    find(document, '#ledger'),
    `Every write is accounted for: ${count.format(accepted.writes)} accepted = ${parts.join(' + ')}; ${refusals}.`,
  );
}
