import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { BeforeTls } from 'reconnecting-connection';
import ts from 'typescript';

/** The functions that a guide shows, by their names. Blocks that make a connection are left out. */
export function recipesIn<Name extends string>(guide: string): Record<Name, BeforeTls> {
  const text = readFileSync(join(__dirname, '..', '..', 'docs', 'guides', guide), 'utf8');
  const blocks = [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code);
  const shown = blocks.filter((code) => !code.includes('new ReconnectingConnection')).join('\n');
  const names = [...shown.matchAll(/^(?:async )?function (\w+)/gm)].map(([, name = '']) => name);
  const { outputText } = ts.transpileModule(`${shown}\nexport { ${names.join(', ')} };`, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true },
  });
  const exports = {};
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the code is that of our own guide
  const evaluate = new Function('require', 'exports', outputText) as (load: typeof require, into: object) => void;
  evaluate(require, exports);
  // `as`: which names there are, and that they are such functions, a test finds out that calls them.
  return exports as Record<Name, BeforeTls>;
}
