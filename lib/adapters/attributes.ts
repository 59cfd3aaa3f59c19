import type { Bounded } from './bounded';
import type { Cause } from './observation';

type Attributes = Readonly<Record<string, string | number>>;

/** A tag by OpenTelemetry's semantic conventions; `''` stands for targets that have no series of their own. */
export function targetAttributes(tag: string): Attributes {
  if (tag === '') return { 'server.address': '_OTHER' };
  if (tag.startsWith('unix:')) {
    const path = tag.slice('unix:'.length);
    return { 'server.address': path, 'network.transport': path.startsWith('\\\\') ? 'pipe' : 'unix' };
  }
  const [, v6, name, port] = /^(?:\[(.+)\]|(.+)):(\d+)$/.exec(tag) ?? [];
  const address = v6 ?? name;
  // No `target` function has answered yet.
  if (address === undefined) return {};
  return { 'server.address': address, 'server.port': Number(port), 'network.transport': 'tcp' };
}

/** What the application asked for is no error. */
const ASKED_FOR: readonly string[] = ['forced', 'disconnected', 'destroyed', 'aborted'];

/** Why something was counted: the reason, and where it was a failure its type, which is the error's code if it has one. */
export function causeAttributes({ reason, error }: Cause, errors: Bounded): Attributes {
  const asked = ASKED_FOR.includes(reason);
  const code = error !== undefined && 'code' in error && typeof error.code === 'string' ? error.code : reason;
  return { 'reconnecting_connection.reason': reason, ...(!asked && { 'error.type': errors.of(code) }) };
}
