import { join } from 'node:path';

import ts from 'typescript';

import type { Snippet } from './snippets';

const root = join(__dirname, '..', '..');

/** What TypeScript says of a parameter and of a package without types: JavaScript has no way to give them one. */
const IMPLICIT_ANY = [7005, 7006, 7016, 7019, 7031, 7034];

/** Type errors in ES modules that import the built package, as a user's compiler would report them. */
export function typeErrorsOf(snippets: readonly Pick<Snippet, 'code' | 'language'>[]): string[] {
  const nameOf = ({ language }: (typeof snippets)[number], index: number) => `snippet-${index}.${language}.mts`;
  const files = new Map(snippets.map((each, index) => [join(root, '__tests__', nameOf(each, index)), each.code]));
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config as object;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  Object.assign(options, {
    // Where the package is found by its own name is dist/.
    paths: undefined,
    types: ['node'],
    verbatimModuleSyntax: true,
    noUnusedLocals: false,
    noUnusedParameters: false,
  });
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (path, ...rest) => {
    const source = files.get(path);
    return source === undefined
      ? getSourceFile(path, ...rest)
      : ts.createSourceFile(path, source, {
          languageVersion: ts.ScriptTarget.ES2022,
          impliedNodeFormat: ts.ModuleKind.ESNext,
        });
  };
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  const program = ts.createProgram([...files.keys()], options, host);
  const found = ts
    .getPreEmitDiagnostics(program)
    .filter(({ file, code }) => !(file?.fileName.endsWith('.js.mts') === true && IMPLICIT_ANY.includes(code)));
  return found.map(({ file, start, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n');
    const line = file?.text.slice(0, start).split('\n').length ?? 0;
    return file === undefined ? text : `${file.text.split('\n')[line - 1]?.trim() ?? ''} // ${text}`;
  });
}
