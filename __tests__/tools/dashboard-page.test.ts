import type { Browser, Page } from 'playwright-core';

import { Dashboard, launchBrowser, missing } from './dashboard-server';
import { titled } from '../kit/missing';
import { until } from '../kit/until';

// A browser takes seconds to start on a busy machine.
jest.setTimeout(60_000);

(missing === undefined ? describe : describe.skip)(titled('the dashboard’s page in a browser', missing), () => {
  let dashboard: Dashboard;
  let browser: Browser;
  let page: Page;
  /** Errors of the page. */
  const errors: string[] = [];

  beforeAll(async () => {
    [dashboard, browser] = await Promise.all([Dashboard.start(), launchBrowser()]);
    page = await browser.newPage({ viewport: { width: 1280, height: 1400 }, colorScheme: 'light' });
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('requestfailed', (request) => errors.push(request.url()));
    await page.goto(dashboard.url);
  });
  afterAll(() => Promise.all([browser.close(), dashboard.destroy()]));

  /** Resolves when the element exists. */
  const there = (selector: string) => page.locator(selector).first().waitFor({ timeout: 20_000 });
  const text = (selector: string) => page.locator(selector).first().innerText();

  /** Counts the pixels of a member's timeline that have the colour of a state. */
  const painted = (id: string, colour: string) =>
    page.evaluate<number>(`(() => {
        const probe = document.body.appendChild(document.createElement('span'));
        probe.style.color = 'var(--${colour})';
        const [red, green, blue] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
        probe.remove();
        const { width, height } = document.querySelector('#${id} .lane');
        const { data } = document.querySelector('#${id} .lane').getContext('2d').getImageData(0, 0, width, height);
        let count = 0;
        for (let at = 0; at < data.length; at += 4) {
          if (data[at] === red && data[at + 1] === green && data[at + 2] === blue) count += 1;
        }
        return count;
      })()`);

  /** The lines of the log, the latest first. */
  const log = async () => (await page.locator('#log li').allInnerTexts()).map((line) => line.replace(/\s+/g, ' '));

  test('every member appears, open', async () => {
    await until(async () => (await page.locator('.member[data-phase=open]').count()) === 9);
    await until(async () => (await text('[data-figure=open]')).replace(/\s+/, ' ') === '8 of 8');
    expect(await page.locator('.server .mode').allInnerTexts()).toEqual(Array(5).fill('● up'));
    expect(await text('#link')).toBe('live');
    await until(async () => (await painted('birch-1', 'open')) > 100);
    expect(await painted('birch-1', 'backoff')).toBe(0);
  });

  test('after a server is killed, its members count down and show the error, and the others stay open', async () => {
    await page.getByRole('button', { name: 'Kill Birch' }).click();
    await there('#birch[data-mode=down]');
    // The first waits are too short to be seen.
    await until(async () => /^[1-9]\.\d s$/.test(await page.locator('#birch-1 time').innerText()));
    const before = parseFloat(await text('#birch-1 time'));
    await until(async () => parseFloat(await text('#birch-1 time')) < before);

    await until(async () => (await painted('birch-1', 'backoff')) > 100);
    expect(await painted('alder-1', 'backoff')).toBe(0);
    expect(await text('#birch .mode')).toBe('✕ down');
    const told = await log();
    expect(told).toContainEqual(expect.stringMatching(/^▸ Birch \d\d:\d\d:\d\d you killed it/));
    expect(told).toContainEqual(
      expect.stringMatching(/^✕ Birch 1 \d\d:\d\d:\d\d session 1 ended after .*: (ECONNRESET|peer-end)/),
    );
    expect(told).toContainEqual(expect.stringMatching(/^◔ Birch 1 \d\d:\d\d:\d\d retry 2 in .* \(ECONNREFUSED\)$/));
    expect(told.filter((line) => /Alder|Cedar|Elm/.test(line) && !line.includes('session 1 is open'))).toEqual([]);
  });

  test('after the server is revived by keyboard, its members are open again', async () => {
    const revive = page.getByRole('button', { name: 'Revive Birch' });
    await revive.focus();
    await page.keyboard.press('Enter');
    await Promise.all(['#birch-1', '#birch-2'].map((id) => there(`${id}[data-phase=open]`)));
    expect(await text('#birch-1 .session')).toBe('session 2');
    expect(await text('#birch-1 time')).toBe('');
    expect(await page.locator('#log li', { hasText: 'session 2 is open after' }).count()).toBe(2);
    // The button is disabled, and keeps the focus.
    expect(await revive.getAttribute('aria-disabled')).toBe('true');
    expect(await page.locator('#birch [data-action=revive]:focus').count()).toBe(1);
  });

  test('a server that retires has twins in the places of its members, which are open all the time', async () => {
    await page.getByRole('button', { name: 'Retire Alder' }).click();
    await until(
      async () => (await log()).filter((line) => /Alder \d .* closed: disconnected$/.test(line)).length === 2,
    );
    expect((await log()).filter((line) => /^● Alder \d’s twin .* session 1 is open$/.test(line))).toHaveLength(2);
    await until(async () => (await text('[data-figure=open]')).replace(/\s+/, ' ') === '8 of 8');
    expect(await page.locator('#alder .member[data-phase=open]').count()).toBe(2);
    expect([await painted('alder-1', 'backoff'), await painted('alder-2', 'backoff')]).toEqual([0, 0]);
  });

  test('a member that flaps is ejected, and says for how long', async () => {
    await page.getByRole('button', { name: 'Flap Cedar' }).click();
    await there('#cedar .ejected .session:text-matches("^ejected \\\\d+\\\\.\\\\d s$")');
    expect(await log()).toContainEqual(
      expect.stringMatching(/^⊘ Cedar \d .* ejected for 10\.0 s after 3 failures in a row/),
    );
    await page.getByRole('button', { name: 'Revive Cedar' }).click();
    await until(async () => (await log()).some((line) => /^● Cedar \d .* picked again after/.test(line)));
    await until(async () => (await page.locator('.ejected').count()) === 0);
  });

  test('a connection fails over to its standby, and back to its primary without a gap', async () => {
    expect(await text('#pair b')).toBe('Primary');
    await page.getByRole('button', { name: 'Kill Primary' }).click();
    await there('#pair [data-phase=open] b:text-is("Standby")');
    await page.getByRole('button', { name: 'Revive Primary' }).click();
    await there('#pair [data-phase=open] b:text-is("Primary")');
    const [, reset] = (await log()).filter((line) => line.includes('The pair'));
    expect(reset).toMatch(/^✕ The pair .* ended after .*: replaced$/);
  });

  test('the crowd with the pool’s gate dials less in vain than the one with plain waits', async () => {
    const dialled = async (id: string) => Number(/(\d+) dials in vain/.exec(await text(`#crowd-${id} .outcome`))?.[1]);
    await page.getByRole('button', { name: 'Kill their server' }).click();
    await until(async () => (await dialled('plain')) >= 200);
    expect(await dialled('pool')).toBeLessThan(await dialled('plain'));
    await page.getByRole('button', { name: 'Revive it' }).click();
    await there('#crowd-pool .outcome:has-text("100 of 100 open"):has-text("all back after")');
  });

  test('colours follow the system or the switch, which is stored', async () => {
    const ground = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    const light = await ground();
    await page.emulateMedia({ colorScheme: 'dark' });
    const dark = await ground();
    expect(dark).not.toBe(light);
    // What is out of sight is not drawn.
    await page.locator('#alder-1').scrollIntoViewIfNeeded();
    await until(async () => (await painted('alder-1', 'open')) > 100);
    await page.getByLabel('Colours').selectOption('light');
    expect(await ground()).toBe(light);
    await page.reload();
    await there('#alder-1');
    expect(await ground()).toBe(light);
    await page.getByLabel('Colours').selectOption('auto');
    expect(await ground()).toBe(dark);
  });

  test.each([320, 390, 820, 1440])('the page has no horizontal scrolling at %i px', async (width) => {
    await page.setViewportSize({ width, height: 900 });
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(width);
  });

  test('with reduced motion the pictures are drawn once a second', async () => {
    await page.emulateMedia({ reducedMotion: 'reduce' });
    const drawings = await page.evaluate<number>(`new Promise((resolve) => {
        let count = 0;
        const { clearRect } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.clearRect = function (...area) {
          if (this.canvas === document.querySelector('#alder-1 .lane')) count += 1;
          clearRect.apply(this, area);
        };
        setTimeout(() => resolve(count), 600);
      })`);
    expect(drawings).toBeLessThanOrEqual(2);
  });

  test('the page has no errors', () => {
    // Reloading the page aborts its feed.
    expect(errors.filter((error) => error !== `${dashboard.url}feed`)).toEqual([]);
  });

  test('when its process has ended, the page stops its clock and says how to go on; then it reconnects', async () => {
    const { port } = new URL(dashboard.url);
    expect(await dashboard.end('SIGINT')).toEqual([0, null]);
    await there('[data-link=lost]');
    expect(await text('#link')).toBe(`Its process has ended. Go on with: npm run dashboard -- --port ${port}`);
    expect(await page.locator('main button:not([aria-disabled=true])').count()).toBe(0);
    const clock = `import('./clock.mjs').then(({ now }) => now())`;
    expect(await page.evaluate<number>(clock)).toBe(await page.evaluate<number>(clock));

    dashboard = await Dashboard.start('--port', port);
    await there('[data-link=live]');
    await until(async () => (await page.locator('.member[data-phase=open]').count()) === 9);
    expect(await page.getByRole('button', { name: 'Kill', disabled: false }).count()).toBe(7);
  });
});
