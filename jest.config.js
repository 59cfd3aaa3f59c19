'use strict';

/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/__tests__/**/*.test.ts'],
  transform: {
    '^.+\\.ts$': [
      'ts-jest',
      { tsconfig: { module: 'nodenext', target: 'es2022', isolatedModules: true, sourceMap: true } },
    ],
  },
  moduleNameMapper: { '^reconnecting-connection$': '<rootDir>/lib/index.ts' },
  collectCoverageFrom: ['lib/**/*.ts', '!lib/index.ts', '!lib/events.ts'],
  coverageThreshold: { global: { lines: 95, branches: 95, functions: 95, statements: 95 } },
};
