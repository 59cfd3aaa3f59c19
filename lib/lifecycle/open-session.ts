import { Session } from '../session/session';
import type { Failback } from './failback';
import type { Replacement } from './replacement';

/** A session as the state of its connection, with what is to replace it, and what asks for that. */
export class OpenSession extends Session {
  /** Made by the first `replace()`, or with the session where there is a `maxLifetime`. */
  replacement: Replacement | undefined;
  /** Made with the session where there are targets that are preferred to its own, and `failback` is set. */
  failback: Failback | undefined;

  override pause(): void {
    super.pause();
    this.replacement?.setReading(false);
  }

  override resume(): void {
    super.resume();
    this.replacement?.setReading(true);
  }

  override release(): void {
    super.release();
    this.failback?.release();
    // Last: it may run the application's code.
    this.replacement?.release();
  }

  override setRef(on: boolean): void {
    super.setRef(on);
    this.replacement?.setRef(on);
    this.failback?.setRef(on);
  }
}
