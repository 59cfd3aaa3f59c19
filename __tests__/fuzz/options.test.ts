import type { OptionsReport } from './options';
import { WARNINGS_ONLY, fuzz } from './program';

jest.setTimeout(3_600_000);

test('C18 generated options either throw ERR_INVALID_OPTION at once, naming one, or make a connection that works', async () => {
  const { code, stderr, report } = await fuzz<OptionsReport>('options', 3_000);
  const { candidates, valid, refused, opened, connected, left, lines } = report;

  expect(lines).toEqual([]);
  expect({ code, stderr, left }).toEqual({ code: 0, stderr: expect.stringMatching(WARNINGS_ONLY) as string, left: [] });
  // A fuzz that is mostly refused at the door, or never, would prove little.
  expect(valid + refused).toBe(candidates);
  expect(valid / candidates).toBeGreaterThan(0.55);
  expect(refused / candidates).toBeGreaterThan(0.15);
  expect(opened / candidates).toBeGreaterThan(0.45);
  expect(connected / candidates).toBeGreaterThan(0.02);
});

test('a fault makes the run fail', async () => {
  const { code, report } = await fuzz<OptionsReport>('options', 10, '--sabotage');
  expect([code, report.faults, report.candidates]).toEqual([1, 1, 11]);
  expect(report.lines[0]).toContain('ERR_INVALID_OPTION');
});
