import { Session } from '../session/session';
import type { Replacement } from './replacement';

/** A session as the state of its connection, with what is to replace it. */
export class OpenSession extends Session {
  /** Made by the first `replace()`, or with the session where there is a `maxLifetime`. */
  replacement: Replacement | undefined;

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
    // Last: it may run the application's code.
    this.replacement?.release();
  }

  override setRef(on: boolean): void {
    super.setRef(on);
    this.replacement?.setRef(on);
  }
}
