import { testLife } from '../kit/lives';
import { testCrowd, testIdler, testStranger, testTopic } from '../kit/manners';
import { answer } from '../kit/protocols/frames';
import { PINGREQ, PINGRESP, PUBLISH, type Packet, field, packet, speakMqtt } from '../kit/protocols/mqtt';
import { type Line, isDelivered, speakNats } from '../kit/protocols/nats';
import { RealServer } from '../kit/real-servers';

testLife({
  title: 'NATS',
  servers: ['nats'],
  async start() {
    const server = await RealServer.start('nats', ['authorization { token: "secret" }']);
    return { server, options: { ...server.target, ...speakNats('secret') } };
  },
  exchange: (connection) => answer(connection, 'SUB hello 7\r\nPUB hello 2\r\nhi\r\nUNSUB 7\r\n', isDelivered),
  answer: { verb: 'MSG', rest: 'hello 7 2', body: 'hi' },
  ping: 'PING\r\n',
});

testStranger({
  name: 'nats',
  client: speakNats('secret'),
  refuses: ['authorization { token: "other" }'],
  words: /-ERR 'Authorization Violation'/,
  agrees: ['authorization { token: "secret" }'],
});

testCrowd({
  name: 'nats',
  client: speakNats(),
  refuses: ['max_connections: 1'],
  words: /-ERR 'maximum connections exceeded'/,
});

testIdler({
  name: 'nats',
  settings: ['ping_interval: "300ms"', 'ping_max: 1'],
  client: speakNats(),
  // It asks by itself, and takes any PONG for an answer.
  ping: 'PONG\r\n',
});

testTopic({
  name: 'nats',
  settings: [],
  client: speakNats(),
  subscribe: 'SUB news 1\r\n',
  publish: (text) => `PUB news ${text.length}\r\n${text}\r\n`,
  // `as`: what the decoder puts out.
  textOf: (message) => (message as Line).body,
});

testLife({
  title: 'Mosquitto',
  servers: ['mosquitto'],
  async start() {
    const server = await RealServer.start('mosquitto', ['allow_anonymous true']);
    return { server, options: { ...server.target, ...speakMqtt() } };
  },
  exchange: (connection) => answer(connection, PINGREQ, ({ type }: Packet) => type === PINGRESP),
  answer: { type: PINGRESP, body: Buffer.alloc(0) },
  ping: PINGREQ,
});

testStranger({
  name: 'mosquitto',
  client: speakMqtt(),
  refuses: ['allow_anonymous false'],
  words: /CONNACK 5/,
  agrees: ['allow_anonymous true'],
});

testCrowd({
  name: 'mosquitto',
  client: speakMqtt(),
  refuses: ['allow_anonymous true', 'max_connections 1'],
  // It hangs up without a word, and perhaps without having read ours.
  words: /closed the connection before it was open|ECONNRESET/,
});

testIdler({ name: 'mosquitto', settings: ['allow_anonymous true'], client: speakMqtt(1), ping: PINGREQ });

testTopic({
  name: 'mosquitto',
  settings: ['allow_anonymous true'],
  client: speakMqtt(),
  subscribe: packet(0x82, [0, 1], field('news'), [0]),
  publish: (text) => packet(0x30, field('news'), Buffer.from(text)),
  textOf(message) {
    // `as`: what the decoder puts out.
    const { type, body } = message as Packet;
    return type === PUBLISH ? body.toString('utf8', 6) : undefined;
  },
});
