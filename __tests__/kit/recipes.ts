import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { BeforeTls } from 'reconnecting-connection';
import ts from 'typescript';

import { snippetsIn } from './snippets';

/** The functions that the programs of a guide declare, by their names. */
export function recipesIn<Name extends string>(guide: string): Record<Name, BeforeTls> {
  const file = join(__dirname, '..', '..', 'docs', 'guides', guide);
  const declared = new Map<string, string>();
  const imports = new Set<string>();
  for (const { code } of snippetsIn(readFileSync(file, 'utf8'), guide)) {
    for (const statement of ts.createSourceFile('', code, ts.ScriptTarget.ES2022).statements) {
      const text = code.slice(statement.pos, statement.end).trim();
      if (ts.isImportDeclaration(statement)) imports.add(text);
      else if (ts.isFunctionDeclaration(statement)) declared.set(statement.name!.text, text);
    }
  }
  const shown = [...imports, ...declared.values(), `export { ${[...declared.keys()].join(', ')} };`].join('\n');
  const { outputText } = ts.transpileModule(shown, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true },
  });
  const exports = {};
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the code is that of our own guide
  const evaluate = new Function('require', 'exports', outputText) as (load: typeof require, into: object) => void;
  evaluate(require, exports);
  // `as`: which names there are, and that they are such functions, a test finds out that calls them.
  return exports as Record<Name, BeforeTls>;
}
