import type { CommonOptions, Handshake } from 'reconnecting-connection';

import { type Parse, decoderOf, read } from './frames';

// MQTT 3.1.1: https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html

/** What a side sends: all that follows its length is the body. */
export interface Packet {
  readonly type: number;
  readonly body: Buffer;
}

const CONNACK = 2;
/** The type of a packet that carries what somebody has published. */
export const PUBLISH = 3;
/** The type of the answer to PINGREQ. */
export const PINGRESP = 13;
/** A whole packet, which asks whether the server is there. */
export const PINGREQ = Buffer.from([0xc0, 0]);

const parsePacket: Parse<Packet> = (bytes) => {
  let length = 0;
  for (let index = 1; index < bytes.length; index++) {
    length += (bytes[index]! & 0x7f) << (7 * (index - 1));
    if (bytes[index]! >= 0x80) continue;
    const end = index + 1 + length;
    return bytes.length < end ? undefined : [{ type: bytes[0]! >> 4, body: bytes.subarray(index + 1, end) }, end];
  }
  return undefined;
};

/** A packet of fewer than 128 bytes. */
export const packet = (head: number, ...parts: (readonly number[] | Buffer)[]): Buffer => {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([Buffer.from([head, body.length]), body]);
};

/** A text with its length before it. */
export const field = (text: string): Buffer => Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)]);

/** Asks for a clean session, which the server ends when it hears nothing for one and a half times `keepAlive` seconds. */
const greetMqtt =
  (keepAlive = 0): Handshake =>
  async (socket, { signal }) => {
    socket.write(packet(0x10, field('MQTT'), [4, 0b10, 0, keepAlive], field('')));
    const { type, body } = await read(socket, parsePacket, signal);
    if (type !== CONNACK || body[1] !== 0) throw new Error(`CONNACK ${body[1]}`);
  };

/** The options of a client. */
export const speakMqtt = (keepAlive?: number): CommonOptions => ({
  handshake: greetMqtt(keepAlive),
  decoder: decoderOf(parsePacket),
});
