import type { Cause } from './observation';

type Attributes = Readonly<Record<string, string | number>>;

/** Returns a function that replaces all values but the first `maxSize`, so that the values of a label stay few. */
export function limited(maxSize: number, replacement: string): (value: string) => string {
  const values = new Set<string>();
  return (value) => {
    if (values.size < maxSize) values.add(value);
    return values.has(value) ? value : replacement;
  };
}

/** A tag as attributes of OpenTelemetry's semantic conventions; `''` stands for all targets beyond `maxTargets`. */
export function targetAttributes(tag: string): Attributes {
  if (tag === '') return { 'server.address': '_OTHER' };
  if (tag.startsWith('unix:')) {
    const path = tag.slice('unix:'.length);
    return { 'server.address': path, 'network.transport': path.startsWith('\\\\') ? 'pipe' : 'unix' };
  }
  const [, v6, name, port] = /^(?:\[(.+)\]|(.+)):(\d+)$/.exec(tag) ?? [];
  const address = v6 ?? name;
  // The `target` function has not returned yet.
  if (address === undefined) return {};
  return { 'server.address': address, 'server.port': Number(port), 'network.transport': 'tcp' };
}

/** Reasons that are requests of the application, not errors. */
const REQUESTED: readonly string[] = ['forced', 'replaced', 'disconnected', 'destroyed', 'aborted'];

/** The reason and, if it is a failure, its type: the code of the error, or the reason if there is none. */
export function causeAttributes({ reason, error }: Cause, limitType: (type: string) => string): Attributes {
  const isFailure = !REQUESTED.includes(reason);
  const code = error !== undefined && 'code' in error && typeof error.code === 'string' ? error.code : reason;
  return { 'reconnecting_connection.reason': reason, ...(isFailure && { 'error.type': limitType(code) }) };
}
