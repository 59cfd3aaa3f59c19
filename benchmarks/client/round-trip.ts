import type { Writer } from './endpoint';
import { type Reading, Meter } from './meter';
import { type Task, connectorFor } from './task';

/** Requests that were answered while it was measured. */
export interface Answered extends Reading {
  readonly requests: number;
  /** Microseconds from the request to its answer: of half of them at the most, and of 99 of 100. */
  readonly p50: number;
  readonly p99: number;
}

export interface RoundTripTask extends Task {
  readonly work: 'round trip';
  readonly size: number;
  readonly inFlight: number;
  readonly warmUp: number;
  readonly requests: number;
}

/** Asks, and asks again for every answer, so that there are always as many under way. */
export async function roundTrip({ size, inFlight, warmUp, requests, ...task }: RoundTripTask): Promise<Answered> {
  const total = warmUp + requests;
  // Each begins with its number, modulo as many as are under way: its buffer is free again when it was answered.
  const messages = Array.from({ length: inFlight }, (_, number) => {
    const message = Buffer.alloc(size, 'x');
    message.writeUInt32LE(number);
    return message;
  });
  const askedAt = new Float64Array(total);
  const latencies = new Float64Array(total);
  let asked = 0;
  let answered = 0;
  let rest = 0;
  let meter: Meter | undefined;
  let writer: Writer | undefined;
  const ask = () => {
    askedAt[asked] = performance.now();
    writer!.write(messages[asked++ % inFlight]!);
  };
  return new Promise((resolve) => {
    const onData = (chunk: Buffer) => {
      const now = performance.now();
      if (rest === 0 && chunk.length >= size && chunk.readUInt32LE() !== answered % inFlight) {
        throw new Error(`The answer to request ${answered} is another's`);
      }
      for (rest += chunk.length; rest >= size; rest -= size) {
        latencies[answered] = now - askedAt[answered]!;
        if (++answered === warmUp) meter = new Meter();
        if (asked < total) ask();
      }
      if (answered < total) return;
      if (rest > 0) throw new Error(`${rest} bytes came that were not sent`);
      const reading = meter!.read();
      const sorted = latencies.subarray(warmUp).sort();
      const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]! * 1e3;
      resolve({ requests, p50: at(0.5), p99: at(0.99), ...reading });
    };
    const onOpen = (opened: Writer) => {
      writer = opened;
      writer.write('echo\n');
      for (let index = 0; index < inFlight; index++) ask();
    };
    connectorFor(task)(task.place, { onOpen, onData }, 'default')();
  });
}
