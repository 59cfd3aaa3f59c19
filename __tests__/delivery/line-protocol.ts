import type { Parse } from '../kit/protocols/frames';

/** What the server of lines says: how many messages it has. Several numbers that came together are one, the last. */
export const parseNumber: Parse<number> = (bytes) => {
  const end = bytes.lastIndexOf('\n');
  if (end === -1) return undefined;
  return [Number(bytes.toString('latin1', bytes.lastIndexOf('\n', end - 1) + 1, end)), end + 1];
};

/** A line that the server gets, without its line feed. One that a session's end has cut off never comes. */
export const parseLine: Parse<string> = (bytes) => {
  const end = bytes.indexOf('\n');
  return end === -1 ? undefined : [bytes.toString('utf8', 0, end), end + 1];
};
