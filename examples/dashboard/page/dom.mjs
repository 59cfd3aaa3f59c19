// Access to the document.
/** @import { Action } from '../messages.js' */

/** Finds an element that exists. @param {ParentNode} within @param {string} selector */
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

/** A copy of a template. @param {string} id */
export function make(id) {
  const template = document.getElementById(id);
  const first = template instanceof HTMLTemplateElement ? template.content.firstElementChild : null;
  const copy = first?.cloneNode(true);
  if (copy instanceof HTMLElement) return copy;
  throw new Error(`There is no template ${id}`);
}

/** Writes the text if it has changed, because writing costs a layout. @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** `aria-disabled` instead of `disabled`, so that the button keeps the focus. @param {Element} button @param {boolean} can */
export function enable(button, can) {
  button.setAttribute('aria-disabled', String(!can));
}

/** Calls `deed` when the button is pressed and enabled. @param {Element} button @param {() => void} deed */
export function onPress(button, deed) {
  button.addEventListener('click', () => {
    if (button.getAttribute('aria-disabled') !== 'true') deed();
  });
}

/** Sends an action to the process. The feed shows if the process is gone. @param {string} id @param {Action} action */
export function ask(id, action) {
  const headers = { 'content-type': 'application/json' };
  fetch('act', { method: 'POST', headers, body: JSON.stringify({ id, action }) }).catch(() => undefined);
}
