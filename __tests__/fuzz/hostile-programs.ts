import { Random } from '../kit/random';

/** One thing that a hostile server does to a client. */
export type Step =
  | { readonly do: 'wait'; readonly ms: number }
  /** Random bytes; in slices with a turn of the event loop between them, or at once. */
  | { readonly do: 'send'; readonly bytes: number; readonly slice: number }
  | { readonly do: 'say'; readonly text: string }
  /** Bytes that TLS would send, and then something else. */
  | { readonly do: 'raw'; readonly hex: string }
  | { readonly do: 'flood'; readonly blocks: number }
  | { readonly do: 'end' | 'reset' | 'destroy' | 'deaf' | 'listen' | 'echo' };

/** What a server does to every client that comes to one of its ports. */
export interface Program {
  /** `plain`: TCP. `secure`: TLS from the first byte, as `certificate` says. */
  readonly layer: 'plain' | 'secure';
  readonly certificate: 'server' | 'expired' | 'selfSigned' | 'wrongHost';
  /** Whether it keeps its own side when the client ends. */
  readonly halfOpen: boolean;
  readonly steps: readonly Step[];
  /** Steps beneath TLS, after those above it: they tear a record apart. */
  readonly beneath: readonly Step[];
}

/** Records of TLS that stop short, lie about their length, or come at the wrong time. */
const RECORDS = [
  '160303007a0200007603', // half a ServerHello
  '16030300040e000000', // a ServerHelloDone before anything else
  '1603034000', // announces 16 KiB, and brings none
  '170303ffff00', // longer than a record may be
  '15030300020228', // an alert: handshake failure
  '15030300020100', // an alert: the peer closes
  '1403030001010000', // a ChangeCipherSpec, and rubbish
  '48545450', // "HTTP"
  '00',
] as const;

/** The program of a seed: the same wherever it is asked for. */
export function programOf(seed: number): Program {
  const random = new Random(seed);
  const secure = random.chance(1 / 3);
  const count = random.below(6);
  return {
    layer: secure ? 'secure' : 'plain',
    certificate: random.chance(1 / 4) ? random.of(['expired', 'selfSigned', 'wrongHost']) : 'server',
    halfOpen: random.chance(1 / 3),
    steps: [...greeting(random), ...Array.from({ length: count }, () => step(random))],
    beneath: secure && random.chance(1 / 2) ? [{ do: 'raw', hex: random.of(RECORDS) }, cut(random)] : [],
  };
}

/** What a client's handshake waits for: often there, sometimes late or in pieces, sometimes something else. */
function greeting(random: Random): Step[] {
  switch (random.below(6)) {
    case 0:
      return [];
    case 1:
      return [
        { do: 'say', text: 'WEL' },
        { do: 'wait', ms: random.below(10) },
        { do: 'say', text: 'COME\nand more' },
      ];
    case 2:
      return [{ do: 'send', bytes: random.below(200), slice: 1 }];
    case 3:
      return [{ do: 'raw', hex: random.of(RECORDS) }];
    default:
      return [{ do: 'say', text: 'WELCOME\n' }];
  }
}

function step(random: Random): Step {
  switch (random.below(12)) {
    case 0:
      return { do: 'send', bytes: random.below(60), slice: 1 };
    case 1:
      return { do: 'send', bytes: random.below(20_000), slice: 1 + random.below(4_000) };
    case 2:
      return { do: 'flood', blocks: 1 + random.below(24) };
    case 3:
    case 4:
      return { do: 'wait', ms: random.below(25) };
    case 5:
      return { do: 'raw', hex: random.of(RECORDS) };
    case 6:
      return { do: 'deaf' };
    case 7:
      return { do: 'listen' };
    case 8:
      return { do: 'echo' };
    case 9:
      return { do: 'say', text: random.of(['line\n', '\n\n\n', '\u0000\u001b[31m', '€€€', 'no end of line']) };
    default:
      return cut(random);
  }
}

function cut(random: Random): Step {
  return { do: random.of(['end', 'reset', 'destroy', 'reset']) };
}
