/** Sends a ping whenever nothing was answered for `interval` milliseconds. */
export class Heartbeat {
  readonly #interval: number;
  readonly #ping: () => Promise<unknown>;
  #answeredAt = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param ping - Resolves when the ping is answered. */
  constructor(interval: number, ping: () => Promise<unknown>) {
    this.#interval = interval;
    this.#ping = ping;
  }

  start(): void {
    this.stop();
    this.onAnswer();
    this.#wait();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  onAnswer(): void {
    this.#answeredAt = performance.now();
  }

  #wait(): void {
    const left = Math.ceil(this.#answeredAt + this.#interval - performance.now());
    if (left > 0) {
      this.#timer = setTimeout(() => this.#wait(), left).unref();
      return;
    }
    const timer = this.#timer;
    // Also where the ping could not be sent. Where the session is over, there is no timer, or another.
    const goOn = () => {
      if (this.#timer === timer) this.start();
    };
    this.#ping().then(goOn, goOn);
  }
}
