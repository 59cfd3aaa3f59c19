// Shows why tests were skipped: each reason once, with the number of its tests.
'use strict';

class SkippedReporter {
  /** @param {import('@jest/reporters').Config.GlobalConfig} config */
  constructor(config) {
    this.isPartial = Boolean(config.testNamePattern);
  }

  /**
   * @param {unknown} _contexts
   * @param {import('@jest/reporters').AggregatedResult} results
   */
  onRunComplete(_contexts, { testResults }) {
    if (this.isPartial) return;
    const skipped = testResults.flatMap((file) => file.testResults).filter(({ status }) => status === 'pending');
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const { fullName } of skipped) {
      const reason = /\(skipped: (.*?)\)(?: |$)/.exec(fullName)?.[1] ?? fullName;
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    for (const [reason, count] of counts) console.log(`${count} skipped: ${reason}`);
  }
}

module.exports = SkippedReporter;
