// The output of the demo: aligned columns, and on a terminal colours and a live countdown.
/** @import { BackoffInfo, CloseInfo, OpenInfo, ResetInfo } from 'reconnecting-connection' */

const { stdout } = process;
/** `hasColors()` heeds NO_COLOR and TERM. */
const isColoured = stdout.isTTY && stdout.hasColors();

const bold = 1;
const dim = 2;
const eventColours = { open: 32, data: 36, reset: 31, backoff: 33, close: 35 };

/** On a terminal, the line below the last row: the tag whose wait it counts down, and its text. */
let countdownTag = '';
let countdownLine = '';
/** @type {NodeJS.Timeout | undefined} */
let countdownTimer;

/** Listeners that print a row for each event: of a pool, or of a connection when they are called with its tag. */
export const show = {
  /** @param {OpenInfo} info @param {string} tag */
  open({ generation, reopened, attempts, downtime }, tag) {
    const dials = `${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`;
    row('open', tag, `session ${generation} after ${dials}${reopened ? `, down for ${seconds(downtime)}` : ''}`);
  },
  /** @param {Buffer} chunk @param {string} tag */
  data(chunk, tag) {
    row('data', tag, chunk.toString().trim());
  },
  /** @param {ResetInfo} info @param {string} tag */
  reset({ generation, uptime, reason, error }, tag) {
    row('reset', tag, `session ${generation} ended after ${seconds(uptime)} (${cause(reason, error)})`);
  },
  /** @param {BackoffInfo} info @param {string} tag */
  backoff({ attempt, delay, retryAt, reason, error }, tag) {
    row('backoff', tag, `retry ${attempt} in ${seconds(delay)} (${cause(reason, error)})`);
    if (stdout.isTTY) countDown(retryAt, tag);
  },
  /** @param {CloseInfo} info @param {string} tag */
  close({ reason }, tag) {
    row('close', tag, reason);
  },
};

/** @param {string} text */
export function heading(text) {
  print(`\n${paint(bold, fold(text, 0))}\n`);
}

/** Prints a step of the demo. @param {string} text */
export function note(text) {
  print(`${elapsed()}  ${paint(bold, fold(`» ${text}`, 9))}`);
}

/** @param {keyof typeof eventColours} event @param {string} tag @param {string} text */
function row(event, tag, text) {
  if (tag === countdownTag) stopCountdown();
  print(`${elapsed()}  ${tag.padEnd(15)}  ${paint(eventColours[event], event.padEnd(7))}  ${fold(text, 35)}`);
}

/** @param {number} until @param {string} tag */
function countDown(until, tag) {
  stopCountdown();
  const draw = () => {
    const left = seconds(Math.max(0, until - Date.now()));
    countdownLine = `${elapsed()}  ${paint(dim, `${tag.padEnd(15)}  dialling in ${left}`)}`;
    stdout.write(`\r${countdownLine}`);
  };
  countdownTag = tag;
  countdownTimer = setInterval(draw, 50);
  draw();
}

function stopCountdown() {
  clearInterval(countdownTimer);
  countdownTag = '';
  if (countdownLine !== '') stdout.write('\r\x1b[K');
  countdownLine = '';
}

/** @param {string} lines */
function print(lines) {
  stdout.write(countdownLine === '' ? `${lines}\n` : `\r\x1b[K${lines}\n${countdownLine}`);
}

/** Continues a text below its first word if the terminal is narrow. @param {string} text @param {number} indent */
function fold(text, indent) {
  if (!stdout.columns) return text;
  const longest = Math.max(20, stdout.columns - indent);
  const lines = text.match(new RegExp(`\\S.{0,${longest - 1}}(?= |$)|\\S+`, 'g')) ?? [];
  return lines.join(`\n${' '.repeat(indent)}`);
}

/** @param {number} style @param {string} text */
function paint(style, text) {
  return isColoured ? `\x1b[${style}m${text}\x1b[0m` : text;
}

/** @param {string} reason @param {Error} [error] */
function cause(reason, error) {
  return error !== undefined && 'code' in error ? String(error.code) : reason;
}

/** @param {number} milliseconds */
function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

function elapsed() {
  return paint(dim, seconds(performance.now()).padStart(7));
}
