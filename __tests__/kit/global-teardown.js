'use strict';

const { rmSync } = require('node:fs');

module.exports = () => {
  const directory = process.env['TESTS_AS_JAVASCRIPT'];
  if (directory !== undefined) rmSync(directory, { recursive: true });
};
