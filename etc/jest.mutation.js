'use strict';

const path = require('node:path');

const config = require('../jest.config.js');

// The tests that run in a second or two: mutants are tried one by one, and each by the tests that reach it.
const ROOMS = [
  'announcer',
  'backoff',
  'canary',
  'connection',
  'deadline',
  'gate',
  'history',
  'liveness',
  'machine',
  'outbox',
  'pending',
  'reader',
  'retry',
  'selection',
  'sender',
  'slab',
  'sweep',
  'turns',
  'waiters',
  'walk',
  'writes',
];

/** @type {import('jest').Config} */
module.exports = {
  ...config,
  rootDir: path.resolve(__dirname, '..'),
  testMatch: ROOMS.map((room) => `<rootDir>/__tests__/${room}.test.ts`),
  // None of these starts processes.
  globalSetup: undefined,
  globalTeardown: undefined,
  coverageThreshold: undefined,
  testTimeout: 30_000,
};
