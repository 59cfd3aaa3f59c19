// What publint and are-the-types-wrong have to say of a packed package, as JSON: node lint.mjs <tarball>
import { readFileSync } from 'node:fs';
import { argv } from 'node:process';

import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const tarball = readFileSync(argv[2] ?? '');
const linted = await publint({ pack: { tarball: new Uint8Array(tarball).buffer }, strict: true });
const checked = await checkPackage(createPackageFromTarballData(new Uint8Array(tarball)));

console.log(
  JSON.stringify({
    publint: linted.messages.map((message) => formatMessage(message, linted.pkg, { color: false })),
    problems: checked.types === false ? ['There are no types'] : checked.problems,
    entries: checked.types === false ? [] : Object.keys(checked.entrypoints),
  }),
);
