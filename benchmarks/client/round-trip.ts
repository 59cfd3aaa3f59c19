import type { Figures } from '../contest';
import { quantile } from '../statistics';
import type { Writer } from './endpoint';
import { Meter } from './meter';
import { type Task, connectorFor } from './task';

export interface RoundTripTask extends Task {
  readonly work: 'round trip';
  readonly size: number;
  readonly inFlight: number;
  readonly warmUp: number;
  readonly requests: number;
}

/** Sends a new request for every answer, so that `inFlight` are always under way. */
export async function roundTrip({ size, inFlight, warmUp, requests, ...task }: RoundTripTask): Promise<Figures> {
  const total = warmUp + requests;
  // Each begins with its number modulo `inFlight`; its buffer is reused when the answer has come.
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
        throw new Error(`Expected the answer to request ${answered}, got another`);
      }
      for (rest += chunk.length; rest >= size; rest -= size) {
        latencies[answered] = now - askedAt[answered]!;
        if (++answered === warmUp) meter = new Meter();
        if (asked < total) ask();
      }
      if (answered < total) return;
      if (rest > 0) throw new Error(`Received ${rest} bytes too many`);
      const { wall, user, system } = meter!.read();
      const measured = [...latencies.subarray(warmUp)];
      resolve({
        requests,
        rate: (requests / wall) * 1e6,
        p50: quantile(measured, 0.5) * 1e3,
        p99: quantile(measured, 0.99) * 1e3,
        cpu: (user + system) / requests,
      });
    };
    const onOpen = (opened: Writer) => {
      writer = opened;
      writer.write('echo\n');
      for (let index = 0; index < inFlight; index++) ask();
    };
    connectorFor(task)(task.address, { onOpen, onData }, 'default')();
  });
}
