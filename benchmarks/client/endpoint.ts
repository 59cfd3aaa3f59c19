/** Where a peer listens. */
export type Address = { readonly port: number; readonly host: string } | { readonly path: string };

/** The part of a connection that every library has. */
export interface Writer {
  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean;
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

/** Listens to errors that the end of a session reports as well. */
export function ignore(): void {
  // No-op.
}
