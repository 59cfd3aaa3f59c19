import type { EjectionSettings } from '../../lib/pool/ejection-policy';
import { type EjectionCase, type EjectionOutcome, ejection } from './ejection';
import { figure } from './words';

type Case = Omit<EjectionCase, 'seed'>;

/** The defaults of the option `ejection`. */
const DEFAULTS: EjectionSettings = { failures: 5, baseTime: 30_000, maxShare: 0.1, panicShare: 0.5 };

const CASES: readonly (readonly [text: string, given: Case])[] = [
  ['one of 10 resets', { members: 10, bad: 1, fault: 'resets' }],
  ['one of 10 is mute', { members: 10, bad: 1, fault: 'mute' }],
  ['one of 10 crashes', { members: 10, bad: 1, fault: 'crashes' }],
  ['one of 10 is slow', { members: 10, bad: 1, fault: 'slow' }],
  ["the same, with `'peak-ewma'`", { members: 10, bad: 1, fault: 'slow', select: 'peak-ewma' }],
  ['one of 3 resets', { members: 3, bad: 1, fault: 'resets' }],
  ['one of 3 is mute', { members: 3, bad: 1, fault: 'mute' }],
  ['3 of 10 are mute', { members: 10, bad: 3, fault: 'mute' }],
  ['all 10 reset', { members: 10, bad: 10, fault: 'resets' }],
  ['all 10 are mute', { members: 10, bad: 10, fault: 'mute' }],
  ['3 restart in turn', { members: 3, bad: 3, fault: 'restarts' }],
  ['10 restart in turn', { members: 10, bad: 10, fault: 'restarts' }],
];

/** Other values, each with what it changes. */
const VARIANTS: readonly (readonly [text: string, settings: EjectionSettings])[] = [
  ['the defaults', DEFAULTS],
  ['`failures: 3`', { ...DEFAULTS, failures: 3 }],
  ['`failures: 10`', { ...DEFAULTS, failures: 10 }],
  ['`baseTime: 10_000`', { ...DEFAULTS, baseTime: 10_000 }],
  ['`baseTime: 60_000`', { ...DEFAULTS, baseTime: 60_000 }],
  ['`maxShare: 0.3`', { ...DEFAULTS, maxShare: 0.3 }],
];

/** Two tables: the defaults beside no ejection in each case, and other values in the cases that tell them apart. */
export function ejectionPage(seed: number): string {
  const rows = CASES.map(([text, given]) => {
    const without = ejection({ ...given, seed }, undefined);
    const outcome = ejection({ ...given, seed }, DEFAULTS);
    const { busiest, ejections, idle } = outcome;
    return [text, bad(without), bad(outcome), `${figure(busiest, 2)} ×`, String(ejections), `${figure(idle, 0)} s`];
  });
  const head = ['servers', 'lost or late without', 'with', 'busiest member', 'ejections', 'left out in good order'];
  const told = CASES.filter(([text]) => /mute|one of 10 resets|10 restart/.test(text) && !text.startsWith('all'));
  const others = VARIANTS.map(([text, settings]) => [
    text,
    ...told.map(([, given]) => {
      const outcome = ejection({ ...given, seed }, settings);
      return given.fault === 'restarts' ? `${figure(outcome.idle, 0)} s idle` : bad(outcome);
    }),
  ]);
  return `${table(head, rows)}\n${table(['`ejection`', ...told.map(([text]) => text)], others)}`;
}

/** The share of the writes that were refused, lost or answered late. */
function bad({ lost, late, refused }: EjectionOutcome): string {
  return `${figure(100 * (lost + late + refused))} %`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}
