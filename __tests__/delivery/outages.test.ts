import '../kit/loopback';
import { titled } from '../kit/missing';
import { missing } from '../kit/server-recipes';
import { ship } from './outages';

// The short form of `npm run soak -- --only delivery`.
jest.setTimeout(120_000);

const reason = missing('rsyslog');

(reason === undefined ? test : test.skip)(
  titled('nothing is lost on the way to rsyslog when links break, and processes are killed at either end', reason),
  async () => {
    const { figures, problems } = await ship('relp', 2_000, 8, 1);
    expect(problems).toEqual([]);
    expect(figures).toMatchObject({ outages: 8, lost: 0 });
  },
);

test('nothing is lost and nothing comes twice where the peer says what it has', async () => {
  const { figures, problems } = await ship('lines', 2_000, 10, 1);
  expect(problems).toEqual([]);
  expect(figures).toMatchObject({ outages: 10, lost: 0, duplicates: 0 });
});
