// node --expose-gc loading.js PATH: what it costs to load a package, as JSON. It imports nothing that the package may need.

gc!();
const { heapUsed } = process.memoryUsage();
const usage = process.cpuUsage();
// `eslint-disable`: an import would load it before the measurement.
// eslint-disable-next-line @typescript-eslint/no-require-imports
const loaded: unknown = require(process.argv[2]!);
const { user, system } = process.cpuUsage(usage);
gc!();
const heap = (process.memoryUsage().heapUsed - heapUsed) / 1_024;
process.stdout.write(`${JSON.stringify({ cpu: (user + system) / 1e3, heap, loaded: loaded === undefined ? 0 : 1 })}\n`);

export {};
