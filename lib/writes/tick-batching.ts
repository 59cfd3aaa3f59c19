import { executionAsyncId } from 'node:async_hooks';

/** Who is to know when a turn ends. */
export interface TurnsHost {
  /** The end of a turn in which something was put off. */
  onTurnEnd(): void;
}

/**
 * Where a write has its place. `lone`: first of a turn that is certain to be a new one. `first`: of its turn, as far as is
 * known, and of the next if nobody calls {@link Turns.end}. `later`: it waits for the end of the turn.
 */
export type Place = 'lone' | 'first' | 'later';

/** Of so many turns that nothing but their scope tells of, one is made sure of. */
const TURNS_A_CHECK = 16;

/** What Node calls the scope of promises, unless somebody watches them. It tells nothing. */
const NO_SCOPE = 0;

/**
 * Tells the writes of one turn of the loop from those of the next. Node says nothing of turns, and a tick for each would
 * cost more than a lone write. But a write from another scope of execution than the last one's is of another turn, or
 * might as well be. One scope may serve many turns, as that of an interval does: there, more has to be known.
 */
export class Turns {
  readonly #host: TurnsHost;
  #writes = 0;
  /** The scope of execution that the last write came from. */
  #scope = NO_SCOPE;
  /** Turns that were told by their scope. */
  #scopes = 0;
  /** Whether something is put off to the end of this turn. */
  #endsLater = false;
  /** Whether the last turn brought several writes. */
  #wasBusy = false;

  constructor(host: TurnsHost) {
    this.#host = host;
  }

  /** A write has come. Returns its place. */
  add(): Place {
    const isNew = this.#isNew();
    if (isNew) this.#writes = 0;
    this.#writes += 1;
    const isToWait = this.#wasBusy || (isNew && this.#scopes % TURNS_A_CHECK === 0);
    if (this.#writes === 1 && !isToWait) return isNew ? 'lone' : 'first';
    if (!this.#endsLater) this.#endLater();
    return 'later';
  }

  /** Several writes are to follow in this turn: the first of them need not go out alone. */
  expectMore(): void {
    this.#wasBusy = true;
  }

  /** The turn is over, unless it is to end by itself. */
  end(): void {
    if (!this.#endsLater) this.#writes = 0;
  }

  #isNew(): boolean {
    const scope = executionAsyncId();
    const isNew = scope !== this.#scope && scope !== NO_SCOPE && !this.#endsLater;
    this.#scope = scope;
    if (isNew) this.#scopes += 1;
    return isNew;
  }

  /** Before any other event: ticks come first. */
  #endLater(): void {
    this.#endsLater = true;
    process.nextTick(endTurn, this);
  }

  /** To be called by the tick that {@link Turns.add} arranges. */
  onTick(): void {
    this.#endsLater = false;
    this.#wasBusy = this.#writes > 1;
    this.#writes = 0;
    this.#host.onTurnEnd();
  }
}

/** One function for all, not one a turn. */
function endTurn(turns: Turns): void {
  turns.onTick();
}
