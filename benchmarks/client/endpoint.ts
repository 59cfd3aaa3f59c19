/** Where a peer listens. */
export type Place = { readonly port: number; readonly host: string } | { readonly path: string };

/** What every client can do, whoever made it. */
export interface Writer {
  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean;
}

/** What a measurement hears from its clients. The same functions serve all of them: they cost no memory each. */
export interface Ears {
  /** A session began, on which this writes. */
  readonly onOpen: (writer: Writer) => void;
  readonly onData: (chunk: Buffer) => void;
  readonly onDrain?: () => void;
  /** A session was lost, or a dial failed, and a wait begins. */
  readonly onWait?: () => void;
}

/** Milliseconds from the loss of a session to the next dial, and from a dial that failed; or what a client does by default. */
export type Wait = { readonly first: number; readonly then: number } | 'default';

/** Returns what makes one more client of a place, that comes back to it. */
export type Connector = (place: Place, ears: Ears, wait: Wait) => () => void;

/** For errors: the end of a session is told by other means. */
export function ignore(): void {
  // Nothing to do.
}
