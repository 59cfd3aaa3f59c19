// Light, dark, or as the system says; remembered for the next visit.

const { documentElement: root } = document;
const key = 'theme';

root.dataset['theme'] = localStorage.getItem(key) ?? 'auto';

/** Colours as the canvases need them. @typedef {Record<typeof names[number], string>} Palette */
const names = /** @type {const} */ ([
  'panel',
  'sunk',
  'rule',
  'edge',
  'ink',
  'quiet',
  'open',
  'connecting',
  'waiting',
  'backoff',
  'closed',
  'lost',
  'on-open',
]);

/** @type {Palette | undefined} */
let current;

/** The colours of the present theme. @returns {Palette} */
export function palette() {
  return (current ??= read());
}

/** Lets the switch switch. */
export function listenToTheme() {
  for (const input of document.querySelectorAll('#theme input')) {
    if (!(input instanceof HTMLInputElement)) continue;
    input.checked = input.value === root.dataset['theme'];
    input.addEventListener('change', () => {
      root.dataset['theme'] = input.value;
      localStorage.setItem(key, input.value);
      current = undefined;
    });
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (current = undefined));
}

/** A variable's own value is not a colour yet: `light-dark()` is resolved where it is used. */
function read() {
  const probe = document.body.appendChild(document.createElement('span'));
  const entries = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return /** @type {Palette} */ (Object.fromEntries(entries));
}
