/** A promise that is settled from outside. */
export class Gate<Value = void> {
  readonly passed: Promise<Value>;
  open!: (value: Value) => void;
  fail!: (error: Error) => void;

  constructor() {
    this.passed = new Promise<Value>((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
    // Many a gate is never passed, and one that fails may have nobody before it any more.
    this.passed.catch(() => undefined);
  }
}
