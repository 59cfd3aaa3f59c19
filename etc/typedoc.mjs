// How docs/reference/ is made of the doc comments: a page for each entry that package.json exports.
import { readFileSync } from 'node:fs';

/** @type {{ exports: Record<string, string | { require: { types: string } }> }} */
const { exports: entries } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const sources = Object.values(entries).flatMap((entry) =>
  typeof entry === 'string' ? [] : [entry.require.types.replace('./dist/', '../lib/').replace('.d.ts', '.ts')],
);

/** @type {Partial<import('typedoc').TypeDocOptions> & Record<string, unknown>} */
const options = {
  name: 'Reference',
  entryPoints: sources,
  // So that the main entry keeps its page whatever others there are.
  alwaysCreateEntryPointModule: true,
  tsconfig: '../lib/tsconfig.json',
  plugin: ['typedoc-plugin-markdown', './typedoc-plugin.mjs'],
  router: 'module',
  out: '../docs/reference',
  readme: 'none',
  disableSources: true,
  excludeExternals: true,
  excludeInternal: true,
  excludePrivate: true,
  sort: ['source-order'],
  groupOrder: ['Classes', 'Functions', 'Variables', 'Interfaces', 'Type Aliases'],
  hideBreadcrumbs: true,
  hidePageHeader: true,
  useCodeBlocks: true,
  interfacePropertiesFormat: 'table',
  parametersFormat: 'table',
  propertyMembersFormat: 'table',
  typeAliasPropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  tableColumnSettings: { hideInherited: true, hideModifiers: true, hideOverrides: true, hideSources: true },
  // A public name without a comment, and a link to nowhere, are errors.
  validation: { notExported: true, invalidLink: true, rewrittenLink: true, notDocumented: true },
  treatValidationWarningsAsErrors: true,
  treatWarningsAsErrors: true,
};

export default options;
