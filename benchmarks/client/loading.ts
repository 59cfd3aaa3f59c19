// node --expose-gc loading.js PATH: what it costs to load a package, as JSON. It imports nothing that the package may need.

/** In kibibytes, without garbage: what one collection finalizes, the next one frees. */
function heapUsed(): number {
  for (let round = 0; round < 4; round++) gc!();
  return process.memoryUsage().heapUsed / 1_024;
}

const before = heapUsed();
const usage = process.cpuUsage();
// An import would load it before the measurement.
// eslint-disable-next-line @typescript-eslint/no-require-imports
const loaded: unknown = require(process.argv[2]!);
const { user, system } = process.cpuUsage(usage);
setTimeout(() => {
  const heap = heapUsed() - before;
  process.stdout.write(
    `${JSON.stringify({ cpu: (user + system) / 1e3, heap, loaded: loaded === undefined ? 0 : 1 })}\n`,
  );
}, 50);

export {};
