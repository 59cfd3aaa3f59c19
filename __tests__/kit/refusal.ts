import { ConnectionError } from '../../lib/errors';

/** What `call` throws, which has to be an `ERR_INVALID_OPTION`; undefined when it throws nothing. */
export function refusalOf(call: () => unknown): ConnectionError | undefined {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(ConnectionError);
    expect((error as ConnectionError).code).toBe('ERR_INVALID_OPTION');
    return error as ConnectionError;
  }
  return undefined;
}

/** The message of what `call` throws, which has to be an `ERR_INVALID_OPTION`. */
export function refusal(call: () => unknown): string {
  return refusalOf(call)?.message ?? 'nothing was thrown';
}
