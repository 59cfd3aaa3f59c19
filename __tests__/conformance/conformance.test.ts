import { cases } from './cases';
import { states } from './states/play';
import { judge } from './verdict';
import { titled } from '../kit/missing';
import { namespacesMissing } from '../kit/namespace';
import { javascript } from '../kit/processes';

// Each case runs in a process of its own; `npm run conformance` puts the same ones to other libraries too.

const numbers = Array.from({ length: 145 }, (_, i) => `C${i + 1}`);

test('there is one case for each number, in order, and no two say the same', () => {
  expect(cases.map(({ id }) => id)).toEqual(numbers);
  expect(new Set(cases.map(({ title }) => title)).size).toBe(cases.length);
});

// The full number of cycles is for `npm run conformance`.
const env = { CONFORMANCE_CYCLES: '1500' };

const missing = namespacesMissing();

// Three transports that differ most; `npm run conformance` plays all.
const played = states.filter(({ id }) => /tcp4|unix|tls1\.3/.test(id));

for (const one of [...cases, ...played]) {
  const { id, title, limit = 30_000, inNamespace = false, platform } = one;
  const run = async () => {
    expect(await judge(await javascript(), 'reconnecting-connection', one, env)).toEqual({ passed: true });
  };
  const reason = platform !== undefined && platform !== process.platform ? `it is about ${platform}` : undefined;
  const skips = reason ?? (inNamespace ? missing : undefined);
  if (skips !== undefined) test.skip(titled(`${id} ${title}`, skips), run);
  else test.concurrent(`${id} ${title}`, run, limit + 10_000);
}
