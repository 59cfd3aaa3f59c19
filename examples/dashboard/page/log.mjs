// The log, latest first.
/** @import { Entry } from '../messages.js' */
import { timeOfDay } from './clock.mjs';
import { find } from './dom.mjs';

/** Most lines in the log. */
const KEPT = 120;

/** @type {Record<Entry['kind'], string>} */
const signs = { open: '●', reset: '✕', backoff: '◔', close: '■', eject: '⊘', restore: '●', you: '▸' };

const list = find(document, '#log');

/** @param {readonly Entry[]} entries */
export function fillLog(entries) {
  list.replaceChildren(...entries.map(line).reverse());
}

/** @param {Entry} entry */
export function addToLog(entry) {
  list.prepend(line(entry));
  while (list.childElementCount > KEPT) list.lastElementChild?.remove();
}

/** @param {Entry} entry */
function line({ at, who, kind, text }) {
  const item = document.createElement('li');
  item.dataset['kind'] = kind;
  const sign = document.createElement('i');
  sign.textContent = signs[kind];
  sign.ariaHidden = 'true';
  const name = document.createElement('b');
  name.textContent = who;
  const time = document.createElement('time');
  time.textContent = timeOfDay(at);
  const words = document.createElement('span');
  words.textContent = text;
  item.append(sign, name, time, words);
  return item;
}
