import { WARNINGS_ONLY, fuzz } from './program';
import type { ServersReport } from './servers';

jest.setTimeout(3_600_000);

test('hostile servers break neither the process nor the order of events, and disconnect() is always possible', async () => {
  const { code, stderr, report } = await fuzz<ServersReport>('servers', 600);
  const { behaviours, opened, events, cpu, longestHold, memory, left, lines } = report;

  expect(lines).toEqual([]);
  expect({ code, stderr, left }).toEqual({
    code: 0,
    stderr: expect.stringMatching(WARNINGS_ONLY) as string,
    left: [],
  });
  // They got through to what they are to try.
  expect(opened / behaviours).toBeGreaterThan(0.25);
  for (const event of ['open', 'data', 'message', 'reset', 'backoff', 'drain', 'drop', 'close']) {
    expect(events).toHaveProperty(event, expect.any(Number));
  }
  // Bounds against loops and leaks, far above what it takes (some 5 ms each).
  expect(cpu).toBeLessThan(100);
  expect(longestHold).toBeLessThan(5_000);
  expect(memory[1] - memory[0]).toBeLessThan(100);
});
