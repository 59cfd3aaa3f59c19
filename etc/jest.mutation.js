'use strict';

const path = require('node:path');

const config = require('../jest.config.js');

/** A mutant is tried by the tests of its folder that reach it, and by those that reach every folder. */
const folder = process.env['MUTATED_FILE']?.split('/')[1] ?? '*';
const central = ['connection', 'lifecycle/machine', 'writes/outbox', 'chaos/chaos'];

/** @type {import('jest').Config} */
module.exports = {
  ...config,
  rootDir: path.resolve(__dirname, '..'),
  testMatch: [...central, `${folder}/*`].map((file) => `<rootDir>/__tests__/${file}.test.ts`),
  // They start processes, whose code is not mutated.
  testPathIgnorePatterns: ['/pool/shared-gate', '/(conformance|docs|fuzz|package|soak|system|tools|types)/'],
  coverageThreshold: undefined,
  reporters: undefined,
};
