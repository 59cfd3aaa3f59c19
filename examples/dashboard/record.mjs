// Makes the pictures of the README: two of the page, and an animation of an outage.
// Run it: npm run dashboard:record (it needs chromium and ffmpeg)
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { startDashboard } from './dashboard.mjs';
/** @import { Page } from 'playwright-core' */

const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
/** Frames a second of the animation, its length in seconds, and its width in pixels. */
const FRAMES = 8;
const SECONDS = 9;
const WIDTH = 960;

const { url, stop } = await startDashboard(0);
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
const folder = mkdtempSync(join(tmpdir(), 'dashboard-'));
try {
  await pause(2000);
  await animate();
  await takePictures();
} finally {
  rmSync(folder, { recursive: true });
  await browser.close();
  await stop();
}

/** Two servers are broken, then revived. */
async function animate() {
  const page = await open('dark', WIDTH, 600);
  await page.locator('#legend').evaluate((legend) => legend.scrollIntoView());
  await pause(1000);
  const story = new Map([
    [0.6, () => press(page, 'Kill Birch')],
    [1.6, () => press(page, 'Flap Cedar')],
    [4.8, () => press(page, 'Revive Cedar')],
    [5.4, () => press(page, 'Revive Birch')],
  ]);
  const from = performance.now();
  for (let frame = 0; frame < FRAMES * SECONDS; frame += 1) {
    const at = frame / FRAMES;
    for (const [when, act] of story) {
      if (when > at) continue;
      story.delete(when);
      await act();
    }
    await pause(Math.max(0, from + at * 1000 - performance.now()));
    await page.screenshot({ path: join(folder, `${String(frame).padStart(3, '0')}.png`) });
  }
  await page.close();
  const frames = ['-framerate', String(FRAMES), '-i', join(folder, '%03d.png')];
  const webp = ['-c:v', 'libwebp_anim', '-lossless', '1', '-loop', '0'];
  ffmpeg(...frames, '-vf', withColours(64), ...webp, join(docs, 'dashboard.webp'));
}

/** The page in the middle of several outages, in both themes at the same moment. */
async function takePictures() {
  const pages = [await open('light', 1440, 2040), await open('dark', 1440, 2040)];
  const [page] = pages;
  if (page === undefined) return;
  await press(page, 'Mute Elm');
  await press(page, 'Kill Primary');
  await press(page, 'Kill their server');
  await pause(5000);
  await press(page, 'Kill Birch');
  await press(page, 'Flap Cedar');
  await press(page, 'Retire Alder');
  await press(page, 'Revive Primary');
  await pause(7000);
  await press(page, 'Revive it');
  await press(page, 'Revive Cedar');
  await pause(9000);
  const shots = await Promise.all(pages.map((each) => each.screenshot({ fullPage: true })));
  for (const [index, theme] of ['light', 'dark'].entries()) {
    const path = join(folder, `${theme}.png`);
    writeFileSync(path, shots[index] ?? '');
    ffmpeg('-i', path, '-vf', withColours(256), join(docs, `dashboard-${theme}.png`));
  }
}

/** A filter that leaves this many colours, and so a third of the bytes. @param {number} most */
function withColours(most) {
  return `split[a][b];[a]palettegen=max_colors=${most}[c];[b][c]paletteuse=dither=none`;
}

/** @param {...string} parameters */
function ffmpeg(...parameters) {
  execFileSync('ffmpeg', ['-y', '-loglevel', 'error', ...parameters]);
}

/** @param {'light' | 'dark'} colorScheme @param {number} width @param {number} height */
async function open(colorScheme, width, height) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  await page.goto(url);
  await page.locator('.member').first().waitFor();
  return page;
}

/** @param {Page} page @param {string} name */
function press(page, name) {
  return page.getByRole('button', { name, exact: true }).click();
}
