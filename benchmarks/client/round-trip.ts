import { quantile } from '../statistics';
import type { Bench } from './slices';
import { type Task, opened } from './task';

export interface RoundTripLoad {
  readonly size: number;
  readonly inFlight: number;
  readonly requests: number;
}

/** Sends a new request for every answer, so that `inFlight` are always under way. */
export async function roundTrip(task: Task, { size, inFlight, requests }: RoundTripLoad): Promise<Bench> {
  // Each begins with its number modulo `inFlight`; its buffer is used again when the answer has come.
  const messages = Array.from({ length: inFlight }, (_, number) => {
    const message = Buffer.alloc(size, 'x');
    message.writeUInt32LE(number);
    return message;
  });
  const askedAt = new Float64Array(requests);
  const latencies = new Float64Array(requests);
  let [asked, answered, rest] = [requests, requests, 0];
  let onEnd: (() => void) | undefined;
  const onData = (chunk: Buffer) => {
    const now = performance.now();
    if (rest === 0 && chunk.length >= size && chunk.readUInt32LE() !== answered % inFlight) {
      throw new Error(`Expected the answer to request ${answered}, got another`);
    }
    for (rest += chunk.length; rest >= size; rest -= size) {
      latencies[answered] = now - askedAt[answered]!;
      answered++;
      if (asked < requests) ask();
    }
    if (answered === requests) onEnd!();
  };
  const writer = await opened(task, { onData });
  const ask = () => {
    askedAt[asked] = performance.now();
    writer.write(messages[asked++ % inFlight]!);
  };
  writer.write('echo\n');
  return async () => {
    await new Promise<void>((resolve) => {
      onEnd = resolve;
      [asked, answered] = [0, 0];
      for (let index = 0; index < inFlight; index++) ask();
    });
    return { units: requests, p50: quantile([...latencies], 0.5) * 1e3 };
  };
}
