// The theme: light, dark or the system's; stored for the next visit.

const { documentElement: root } = document;
const key = 'theme';

root.dataset['theme'] = localStorage.getItem(key) ?? 'auto';

/** The colours for canvases. @typedef {Record<typeof names[number], string>} Palette */
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

/** The colours of the current theme. @returns {Palette} */
export function palette() {
  return (current ??= read());
}

/** Connects the choice of a theme. */
export function listenToTheme() {
  const choice = document.querySelector('#theme');
  if (!(choice instanceof HTMLSelectElement)) return;
  choice.value = root.dataset['theme'] ?? 'auto';
  choice.addEventListener('change', () => {
    root.dataset['theme'] = choice.value;
    localStorage.setItem(key, choice.value);
    current = undefined;
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (current = undefined));
}

/** The value of a variable is `light-dark()`, which only a property resolves to a colour. */
function read() {
  const probe = document.body.appendChild(document.createElement('span'));
  const entries = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return /** @type {Palette} */ (Object.fromEntries(entries));
}
