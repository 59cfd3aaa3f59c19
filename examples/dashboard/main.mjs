// A page that shows the library at work, with servers that you can break.
// Run it: npm run dashboard [-- --port 8080]
import { parseArgs } from 'node:util';
import { startDashboard } from './dashboard.mjs';

const usage = 'Usage: npm run dashboard [-- --port PORT]';

try {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '0' }, help: { type: 'boolean' } } });
  if (values.help) console.log(usage);
  else await run(portOf(values.port));
} catch (error) {
  console.error(`${/** @type {Error} */ (error).message}\n${usage}`);
  process.exitCode = 2;
}

/** @param {number} port */
async function run(port) {
  const { url, stop } = await startDashboard(port);
  console.log(`The dashboard is at ${url}\nCtrl-C ends it.`);
  // Once: a second signal ends the process at once, which is Node's default.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void stop());
}

/** @param {string} text */
function portOf(text) {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new Error(`Expected \`--port\` to be a number from 0 to 65535, got \`${text}\``);
}
