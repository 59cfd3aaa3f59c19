import type { Browser, Page } from 'playwright-core';

import { Dashboard, launchBrowser, missing } from './dashboard-server';
import type { MemberFigures, Message, Phase, Tick } from '../../examples/dashboard/messages';
import { titled } from '../kit/missing';

// A browser takes seconds to start on a busy machine.
jest.setTimeout(60_000);

const WIDTHS = [1280, 800, 390];
/** The label and the button of a member in each phase. */
const LABELS: Record<Phase, [string, string]> = {
  idle: ['idle', 'Disconnect'],
  connecting: ['connecting', 'Disconnect'],
  waiting: ['at the gate', 'Disconnect'],
  open: ['open', 'Disconnect'],
  backoff: ['backoff', 'Disconnect'],
  closing: ['closing', 'Disconnect'],
  closed: ['closed', 'Connect'],
};
// `as`: the keys of a record of phases are phases.
const PHASES = Object.keys(LABELS) as Phase[];
const NONE = { writes: 0, bytes: 0 };

interface Rectangle {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly height: number;
}

(missing === undefined ? describe : describe.skip)(titled('the layout of the dashboard’s page', missing), () => {
  let dashboard: Dashboard;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    [dashboard, browser] = await Promise.all([Dashboard.start(), launchBrowser()]);
    page = await browser.newPage();
    // The tests are the feed.
    await page.addInitScript('globalThis.EventSource = class { constructor() { globalThis.feed = this; } }');
    await page.goto(dashboard.url);
  });
  beforeEach(() => send({ type: 'hello', at: 0, servers: [server('alder'), server('birch')], crowds: [], ...EMPTY }));
  afterAll(() => Promise.all([browser.close(), dashboard.destroy()]));

  const send = (message: Message) =>
    page.evaluate(`feed.onopen(); feed.onmessage({ data: ${JSON.stringify(JSON.stringify(message))} })`);
  const step = (id: string, phase: Phase, generation: number, where?: string) =>
    send({
      type: 'step',
      at: 0,
      id,
      step: { phase, at: 0, generation, until: 12_345, ...(where !== undefined && { where }) },
    });
  const text = (selector: string) => page.locator(selector).innerText();
  /** The height of each match in pixels, and how far each of its parts is below the first of them. */
  const boxes = (selector: string, parts: string) =>
    page.evaluate<[number, ...number[]][]>(`[...document.querySelectorAll('${selector}')].map((whole) => {
      const tops = [...whole.querySelectorAll('${parts}')].map((part) => part.getBoundingClientRect().top);
      return [whole.getBoundingClientRect().height, ...tops.map((top) => Math.round(top - tops[0]))];
    })`);

  test.each(WIDTHS)('rows are equal, and keep their places in every phase and session, at %i px', async (width) => {
    await page.setViewportSize({ width, height: 900 });
    const rows = () => boxes('.member', 'b, .phase span, .lane, .rate, button');
    const [first, ...others] = await rows();
    expect(others.map((row) => row.slice(1))).toEqual(others.map(() => first?.slice(1)));
    const before = await rows();
    for (const phase of PHASES) {
      await step('alder-1', phase, 1000);
      await step('alder-2', phase, 1000);
      await send(tick({ id: 'alder-1', rate: 123_456, queued: 1000, refused: 0 }));
      expect([phase, await rows()]).toEqual([phase, before]);
    }
    expect(await text('#alder-1 .session')).toBe('session 1000');
    await send(tick({ id: 'alder-1', rate: 0, queued: 1, refused: 0, ejectedUntil: 59_900 }));
    expect(await text('#alder-1 .session')).toMatch(/^ejected \d\d\.\d s$/);
    await step('alder-2', 'open', 1000, 'Standby');
    expect([await text('#alder-2 b'), await rows()]).toEqual(['Standby', before]);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(width);
  });

  test.each(WIDTHS)('a server’s card keeps its height in every mode, at %i px', async (width) => {
    await page.setViewportSize({ width, height: 900 });
    const height = async () => (await boxes('#alder', 'none'))[0];
    const before = await height();
    for (const mode of ['down', 'muted', 'flapping', 'up'] as const) {
      await send({ type: 'mode', at: 0, id: 'alder', mode });
      const phase = mode === 'up' ? 'healthy' : 'probing';
      await send(tick(undefined, { phase, waiting: 2, dialling: 1, window: 1, connectTime: null }));
      expect([mode, await height()]).toEqual([mode, before]);
    }
    expect(await text('#alder .gate')).toBe('127.0.0.1:12345 · gate healthy, 2 wait');
  });

  test.each(PHASES)('a member has a label and a button in phase %s', async (phase) => {
    await step('alder-1', phase, 2);
    expect([await text('#alder-1 .phase span'), await text('#alder-1 button')]).toEqual(LABELS[phase]);
  });

  test('a queue is full when it refuses writes; that of a closed member is not', async () => {
    const show = async (phase: Phase, queued: number) => {
      await step('alder-1', phase, 1);
      await send(tick({ id: 'alder-1', rate: 0, queued, refused: 0 }));
      await send(tick({ id: 'alder-1', rate: 0, queued, refused: 1 }));
      return [await text('#alder-1 .queue'), await page.locator('#alder-1 .full').count()];
    };
    expect(await show('backoff', 256)).toEqual(['queue full', 1]);
    await send(tick({ id: 'alder-1', rate: 0, queued: 256, refused: 1 }));
    expect(await text('#alder-1 .queue')).toBe('256 queued');
    expect(await show('closed', 0)).toEqual(['0 queued', 0]);
  });

  test('at 390 px buttons have 44 px, the legend has columns, and the themes stand beside the title', async () => {
    await page.setViewportSize({ width: 390, height: 900 });
    const rectangles = (selector: string) =>
      page.evaluate<Rectangle[]>(
        `[...document.querySelectorAll('${selector}')].map((each) => each.getBoundingClientRect().toJSON())`,
      );
    const targets = await rectangles('button, select');
    expect(targets.length).toBeGreaterThan(15);
    expect(targets.filter(({ height }) => height < 44)).toEqual([]);
    expect(new Set((await rectangles('#legend li')).map(({ left }) => left)).size).toBe(3);
    const [title, themes] = await rectangles('h1, select');
    expect(themes?.top).toBeLessThan(title?.bottom ?? 0);
  });
});

const EMPTY = { downtimes: [], entries: [] };

function server(id: string) {
  const members = ['1', '2'].map((number) => ({
    id: `${id}-${number}`,
    name: `Alder ${number}`,
    steps: [{ phase: 'open', at: 0, generation: 1 }] as const,
  }));
  return { id, name: 'Alder', tag: '127.0.0.1:12345', mode: 'up', members } as const;
}

function tick(member?: MemberFigures, gate?: Tick['gates'][string]): Tick {
  return {
    type: 'tick',
    at: 0,
    pool: {
      total: 4,
      open: 4,
      connecting: 0,
      backoff: 0,
      waiting: 0,
      ejected: 0,
      queuedBytes: 0,
      endpoints: {},
      sources: [],
    },
    gates: gate === undefined ? {} : { '127.0.0.1:12345': gate },
    writes: { accepted: NONE, confirmed: NONE, uncertain: NONE, dropped: NONE, queued: NONE, refused: NONE },
    members: member === undefined ? [] : [member],
    crowds: [],
  };
}
