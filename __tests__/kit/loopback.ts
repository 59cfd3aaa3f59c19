import { cleanUp } from './clean-up';

// What the tests of real sockets and processes share. Its parts know nothing of jest, so that other runners use them too.
export { track } from './clean-up';
export * from './connections';
export { type Exit, run, serveElsewhere } from './processes';
export * from './server';
export * from './streams';

// What is waited for comes in milliseconds, unless the machine has much else to do.
jest.setTimeout(20_000);

afterEach(cleanUp);
