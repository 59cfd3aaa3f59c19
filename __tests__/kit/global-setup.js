'use strict';

const { execFileSync } = require('node:child_process');
const { chmodSync, mkdtempSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

/** Makes JavaScript of the library and the tests, once for a whole run: many tests start processes without jest. */
module.exports = () => {
  const directory = mkdtempSync(join(tmpdir(), 'reconnecting-connection-'));
  // Whoever it is that runs it in a private network has to read it.
  chmodSync(directory, 0o755);
  execFileSync(process.execPath, [join(__dirname, 'compile.mjs'), directory]);
  process.env['TESTS_AS_JAVASCRIPT'] = directory;
};
