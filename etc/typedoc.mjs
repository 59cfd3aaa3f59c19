// How docs/reference/ is made of the doc comments: a page for each class and need, see typedoc-plugin.mjs.
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
  router: 'by-need',
  membersWithOwnFile: ['Class'],
  out: '../docs/reference',
  readme: 'none',
  disableSources: true,
  excludeExternals: true,
  excludeInternal: true,
  excludePrivate: true,
  sort: ['source-order'],
  groupOrder: ['Classes', 'Functions', 'Variables', 'Interfaces', 'Type Aliases'],
  hideBreadcrumbs: true,
  pageTitleTemplates: {
    // Pages by need have plain words as their names.
    module: ({ name }) => (name.includes('-') ? name : name[0]?.toUpperCase() + name.slice(1)),
    member: ({ name }) => name,
  },
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
