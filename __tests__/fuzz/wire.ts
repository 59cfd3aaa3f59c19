import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

import type { Certificates } from '../kit/certificates';

// A relay that reads every byte between a client and its server, and the server behind it, in a process of their own.
// It is told what must never be seen on the way, and it can cut whatever goes through it.

/** What the parent says. `marker` is part of all that the application writes. */
export type WireOrder =
  | { readonly open: Certificates; readonly marker: string }
  /** The next connections are reset after so many bytes from the server, one for each number; 0 for not at all. */
  | { readonly cutAfter: readonly number[] }
  | { readonly cutAll: 'end' | 'reset' }
  | { readonly report: true };

/** What has been seen of connections through one of the two ways. */
export interface Sightings {
  readonly connections: number;
  readonly bytes: number;
  /** Connections whose first bytes from the client were no TLS record of a handshake. */
  readonly unlikeTls: number;
  /** Headers that are none of a TLS record, in either direction. */
  readonly badRecords: number;
  readonly records: number;
  /** How often the marker was seen. */
  readonly markers: number;
  /** Connections that were cut before the server had said all of its handshake. */
  readonly cut: number;
}

export type WireAnswer =
  | { readonly port: number; readonly plainPort: number }
  /** By TLS, and by the control: the same relay with plain TCP behind it. */
  | { readonly secure: Sightings; readonly plain: Sightings };

/** One way through the relay. */
class Way {
  readonly #marker: Buffer;
  readonly #links = new Set<Socket>();
  readonly cuts: number[] = [];
  readonly seen = { connections: 0, bytes: 0, unlikeTls: 0, badRecords: 0, records: 0, markers: 0, cut: 0 };

  constructor(marker: string) {
    this.#marker = Buffer.from(marker);
  }

  async open(backPort: number): Promise<number> {
    const relay = createServer({ allowHalfOpen: true }, (client) => {
      const server = connect({ port: backPort, host: '127.0.0.1', allowHalfOpen: true });
      this.seen.connections += 1;
      this.#links.add(client);
      client.on('close', () => this.#links.delete(client));
      const cutAfter = this.cuts.shift() ?? 0;
      this.#relay(client, server, 0, true);
      this.#relay(server, client, cutAfter, false);
    });
    return listen(relay);
  }

  cutAll(how: 'end' | 'reset'): void {
    for (const link of this.#links) {
      if (how === 'reset') link.resetAndDestroy();
      else link.end();
    }
  }

  #relay(from: Socket, to: Socket, cutAfter: number, isClient: boolean): void {
    const records = new Records();
    let passed = 0;
    let tail = Buffer.alloc(0);
    from.on('data', (chunk: Buffer) => {
      if (isClient && passed === 0 && !(chunk[0] === 0x16 && chunk[1] === 0x03)) this.seen.unlikeTls += 1;
      passed += chunk.length;
      this.seen.bytes += chunk.length;
      // A marker may lie across two chunks.
      const text = Buffer.concat([tail, chunk]);
      for (let at = text.indexOf(this.#marker); at >= 0; at = text.indexOf(this.#marker, at + 1))
        this.seen.markers += 1;
      tail = text.subarray(Math.max(0, text.length - this.#marker.length + 1));
      const { good, bad } = records.read(chunk);
      this.seen.records += good;
      this.seen.badRecords += bad;
      if (cutAfter > 0 && passed >= cutAfter) {
        this.seen.cut += 1;
        to.write(chunk.subarray(0, Math.max(0, chunk.length - (passed - cutAfter))));
        setImmediate(() => to.resetAndDestroy());
        from.destroy();
        return;
      }
      if (to.writable) to.write(chunk);
    });
    from.on('end', () => to.end());
    from.on('error', () => {});
    from.on('close', () => to.destroy());
  }
}

/** Reads a stream as records of TLS: a type, a version, a length, and so many bytes. */
class Records {
  #header = Buffer.alloc(0);
  #left = 0;
  #isLost = false;

  read(chunk: Buffer): { good: number; bad: number } {
    let good = 0;
    for (let rest = chunk; rest.length > 0 && !this.#isLost;) {
      const body = Math.min(this.#left, rest.length);
      this.#left -= body;
      rest = rest.subarray(body);
      if (rest.length === 0) break;
      const wanted = 5 - this.#header.length;
      this.#header = Buffer.concat([this.#header, rest.subarray(0, wanted)]);
      rest = rest.subarray(wanted);
      if (this.#header.length < 5) break;
      const [type = 0, major] = this.#header;
      this.#left = this.#header.readUInt16BE(3);
      // Where one header is none, nobody knows where the next one is.
      this.#isLost = type < 0x14 || type > 0x17 || major !== 0x03 || this.#left > 16_640;
      this.#header = Buffer.alloc(0);
      if (this.#isLost) return { good, bad: 1 };
      good += 1;
    }
    return { good, bad: 0 };
  }
}

let secure: Way;
let plain: Way;

process.on('disconnect', () => process.exit());
process.on('message', (order: WireOrder) => {
  if ('open' in order) void open(order.open, order.marker);
  else if ('cutAfter' in order) secure.cuts.push(...order.cutAfter);
  else if ('cutAll' in order) secure.cutAll(order.cutAll);
  else answer({ secure: secure.seen, plain: plain.seen });
});

function answer(value: WireAnswer): void {
  process.send?.(value);
}

async function open({ server }: Certificates, marker: string): Promise<void> {
  secure = new Way(marker);
  plain = new Way(marker);
  const port = await secure.open(await listen(createTlsServer(server, echo)));
  const plainPort = await plain.open(await listen(createServer(echo)));
  answer({ port, plainPort });
}

function echo(socket: Socket): void {
  socket.on('error', () => {});
  socket.pipe(socket);
}

function listen(server: Server): Promise<number> {
  server.on('tlsClientError', () => {});
  return new Promise((resolve) => {
    // `as`: the address of a TCP server.
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}
