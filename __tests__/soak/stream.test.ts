import { join } from 'node:path';

import '../kit/loopback';
import { titled } from '../kit/missing';
import { namespacesMissing } from '../kit/namespace';
import { javascript } from '../kit/processes';
import { measureApart } from './apart';
import type { Finding } from './measure';
import { streams } from './stream';

// The short form of `npm run soak -- --only stream`: the same with fewer seconds, in a process of its own.
jest.setTimeout(120_000);

const missing = namespacesMissing();

async function measure(name: string): Promise<Finding> {
  const { short } = streams.find((each) => each.name === name)!;
  return measureApart(join(await javascript(), '__tests__', 'soak', 'stream-process.js'), name, short);
}

/** Nothing is wrong, and there was something that could have gone wrong. */
function expectWell({ problems, figures }: Finding): void {
  expect(problems).toEqual([]);
  expect(figures['rounds']).toBeGreaterThanOrEqual(2);
  expect(figures['faults']).toBeGreaterThanOrEqual(2);
  expect(figures['sessions']).toBeGreaterThanOrEqual(2);
  expect(figures['callbacks']).toBeGreaterThan(100);
  expect(figures['arrived']).toBeGreaterThan(100);
  expect(figures['received']).toBeGreaterThan(100);
}

describe('numbered frames in both directions are neither torn, sent twice, reordered nor lost silently', () => {
  test('through a proxy that does to them whatever a network can', async () => {
    expectWell(await measure('stream through a fault proxy'));
  });

  const play = missing === undefined ? test : test.skip;
  play(titled('nor by what a kernel can do', missing), async () => {
    expectWell(await measure('stream in a private network'));
  });
});
