/** Where a peer listens. */
export interface Address {
  readonly port: number;
  readonly host: string;
}

/** The part of a connection that every library has. */
export interface Writer {
  write(chunk: Uint8Array | string): boolean;
}

/** Handlers of a measurement. All its clients share them, so that they take no memory per client. */
export interface Handlers {
  /** A session began, on which `writer` writes. */
  readonly onOpen: (writer: Writer) => void;
  readonly onData: (chunk: Buffer) => void;
  readonly onDrain?: () => void;
  /** A session was lost, or a dial failed, and a wait begins. */
  readonly onWait?: () => void;
}

/** Milliseconds from the loss of a session to the next dial, and from a failed dial to the next; or the client's default. */
export type Wait = { readonly first: number; readonly then: number } | 'default';

/** Returns a function that starts one more client, which reconnects to `address`. */
export type Connector = (address: Address, handlers: Handlers, wait: Wait) => () => void;

/** What each connection has to itself, where all could share it. */
export interface Own {
  /** An options object, with one inside. */
  readonly options?: boolean;
  /** A host, and so an options object too. */
  readonly target?: boolean;
  /** A function for each event. */
  readonly listeners?: boolean;
}

/** Another host of the loopback network for each index, where the same peer listens. */
export function addressOf({ port }: Address, index: number): Address {
  return { port, host: `127.1.${index >> 8}.${index & 255}` };
}

/** Listens to errors that the end of a session reports as well. */
export function ignore(): void {
  // No-op.
}
