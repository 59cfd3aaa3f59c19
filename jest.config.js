'use strict';

/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/__tests__/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/temp/'],
  // The project's own tsconfig.json; types are checked by `npm run types`, not again by every test file.
  transform: { '^.+\\.ts$': ['ts-jest', { tsconfig: 'tsconfig.json' }] },
  moduleNameMapper: {
    '^reconnecting-connection$': '<rootDir>/lib/index.ts',
    '^reconnecting-connection/(testing|requests|delivery)$': '<rootDir>/lib/$1/index.ts',
    '^reconnecting-connection/([a-z]+)$': '<rootDir>/lib/adapters/$1.ts',
  },
  reporters: ['default', '<rootDir>/etc/skipped-reporter.js'],
  // As many as there are processors, where jest would leave one out: most tests wait for what other processes do.
  maxWorkers: '100%',
  // Of `test.concurrent`: processes that mostly wait.
  maxConcurrency: 12,
  collectCoverageFrom: [
    'lib/**/*.ts',
    '!lib/index.ts',
    '!lib/testing/index.ts',
    '!lib/delivery/index.ts',
    '!lib/requests/index.ts',
    '!lib/events/events.ts',
    // Its tests run it as built, in processes of its own.
    '!lib/command/**',
  ],
  // Not of some of the tests: an argument that is no option names a file or a title.
  coverageThreshold: process.argv.slice(2).every((argument) => argument.startsWith('-'))
    ? { global: { lines: 95, branches: 95, functions: 95, statements: 95 } }
    : undefined,
};
