'use strict';

const path = require('node:path');

const config = require('../jest.config.js');

// The tests that run in a second or two: mutants are tried one by one, and each by the tests that reach it.
const FILES = [
  'attempt/cancellable',
  'pool/dial-slot',
  'chaos/chaos',
  'connection',
  'events/delivery-queue',
  'lifecycle/machine',
  'lifecycle/retry-policy',
  'lifecycle/stats',
  'lifecycle/when-open',
  'options/backoff',
  'pool/connect-window',
  'pool/selection',
  'session/liveness',
  'socket/fast-read',
  'timers/deadline',
  'writes/outbox',
  'writes/sender',
  'writes/write',
  'writes/write-buffer',
];

/** @type {import('jest').Config} */
module.exports = {
  ...config,
  rootDir: path.resolve(__dirname, '..'),
  testMatch: FILES.map((file) => `<rootDir>/__tests__/${file}.test.ts`),
  coverageThreshold: undefined,
  testTimeout: 30_000,
};
