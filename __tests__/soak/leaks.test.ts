import { join } from 'node:path';

import { javascript } from '../kit/processes';
import '../kit/loopback';
import { measureApart } from './apart';
import { leaks } from './leaks';

// The short form of `npm run soak`: the same measurements with smaller numbers, each in a process of its own.
jest.setTimeout(120_000);

describe('nothing grows and nothing is left behind by', () => {
  test.each(leaks.map(({ name, short }) => [name, short] as const))('%s', async (name, short) => {
    const program = join(await javascript(), '__tests__', 'soak', 'leaks-process.js');
    const { figures, problems } = await measureApart(program, name, short);

    expect({ problems, figures }).toEqual({ problems: [], figures });
    expect(figures).not.toEqual({});
  });
});
