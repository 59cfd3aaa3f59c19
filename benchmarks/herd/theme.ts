/** Colours for one background. Text is readable on it: 4.5 to 1 at least; lines are told apart by lightness too. */
export interface Theme {
  readonly name: 'light' | 'dark';
  readonly background: string;
  readonly text: string;
  readonly quiet: string;
  readonly grid: string;
  readonly shade: string;
  readonly ours: string;
  readonly other: string;
  readonly otherArea: string;
  readonly oursArea: string;
  readonly limit: string;
}

export const light: Theme = {
  name: 'light',
  background: '#ffffff',
  text: '#1f2328',
  quiet: '#59636e',
  grid: '#e7eaee',
  shade: '#f3f5f7',
  ours: '#0860ca',
  oursArea: 'rgba(8, 96, 202, 0.16)',
  other: '#a0a8b1',
  otherArea: 'rgba(129, 139, 152, 0.30)',
  limit: '#bc4c00',
};

export const dark: Theme = {
  name: 'dark',
  background: '#0d1117',
  text: '#f0f6fc',
  quiet: '#9198a1',
  grid: '#22282f',
  shade: '#151b23',
  ours: '#58a6ff',
  oursArea: 'rgba(88, 166, 255, 0.22)',
  other: '#767e88',
  otherArea: 'rgba(145, 152, 161, 0.24)',
  limit: '#f0883e',
};

/** Without double quotes: it stands between them. */
export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";
