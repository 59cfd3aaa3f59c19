// The few things that are done to the document.
/** @import { Action } from '../messages.js' */

/** The element that `selector` finds, which the page is sure to have. @param {ParentNode} within @param {string} selector */
export function find(within, selector) {
  const element = within.querySelector(selector);
  if (element instanceof HTMLElement) return element;
  throw new Error(`There is no ${selector}`);
}

/** @param {ParentNode} within @param {string} selector */
export function findCanvas(within, selector) {
  const element = find(within, selector);
  if (element instanceof HTMLCanvasElement) return element;
  throw new Error(`${selector} is no canvas`);
}

/** What a template makes. @param {string} id */
export function make(id) {
  const template = document.getElementById(id);
  const first = template instanceof HTMLTemplateElement ? template.content.firstElementChild : null;
  const copy = first?.cloneNode(true);
  if (copy instanceof HTMLElement) return copy;
  throw new Error(`There is no template ${id}`);
}

/** Writes only what has changed: to write costs a layout. @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A button that can do nothing keeps its focus. @param {Element} button @param {boolean} can */
export function enable(button, can) {
  button.setAttribute('aria-disabled', String(!can));
}

/** Does it when the button is pressed, and can be. @param {Element} button @param {() => void} deed */
export function onPress(button, deed) {
  button.addEventListener('click', () => {
    if (button.getAttribute('aria-disabled') !== 'true') deed();
  });
}

/** Asks the process behind the page for something. That it cannot be reached is said by the feed. @param {string} id @param {Action} action */
export function ask(id, action) {
  const headers = { 'content-type': 'application/json' };
  fetch('act', { method: 'POST', headers, body: JSON.stringify({ id, action }) }).catch(() => undefined);
}
