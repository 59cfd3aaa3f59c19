// The card of a server: its mode, the phase of its gate, and its members.
/** @import { EndpointStats } from 'reconnecting-connection' */
/** @import { Action, Mode, ServerIntroduction } from '../messages.js' */
import { ask, enable, find, make, onPress, write } from './dom.mjs';
import { MemberRow } from './member-row.mjs';

/** @type {Record<Mode, string>} */
const modeWords = { up: '● up', muted: '◌ muted', flapping: '◑ flapping', down: '✕ down' };
/** @type {Record<Mode, Action>} */
const ways = { up: 'revive', muted: 'mute', flapping: 'flap', down: 'kill' };

export class ServerCard {
  element = make('server-template');
  #mode = find(this.element, '.mode');
  #gate = find(this.element, '.gate');
  #buttons = [...this.element.querySelectorAll('button')];
  #tag;

  /** @param {ServerIntroduction} introduction */
  constructor({ id, name, tag, mode, members }) {
    this.id = id;
    this.#tag = tag;
    // The primary of the connection that has a standby.
    this.isPair = id === 'primary';
    this.rows = members.map((member) => new MemberRow(member));
    this.element.id = id;
    write(find(this.element, 'h3'), name);
    find(this.element, '.actions').setAttribute('aria-label', `What ${name} does`);
    find(this.element, '.members').append(...this.rows.map(({ element }) => element));
    for (const button of this.#buttons) {
      // `as`: the template's buttons have actions.
      const action = /** @type {Action} */ (button.dataset['action']);
      button.setAttribute('aria-label', `${button.textContent} ${name}`);
      onPress(button, () => ask(id, action));
    }
    this.set(mode);
    this.show({});
  }

  /** @param {Mode} mode */
  set(mode) {
    this.element.dataset['mode'] = mode;
    this.#mode.dataset['mode'] = mode;
    write(this.#mode, modeWords[mode]);
    for (const button of this.#buttons) enable(button, button.dataset['action'] !== ways[mode]);
  }

  /** @param {Readonly<Record<string, EndpointStats>>} gates */
  show(gates) {
    const gate = gates[this.#tag];
    const held = gate && gate.waiting > 0 ? `, ${gate.waiting} wait` : '';
    write(this.#gate, gate === undefined ? this.#tag : `${this.#tag} · gate ${gate.phase}${held}`);
  }
}
