/**
 * The title of tests that need what a machine may lack. Where it is missing they are skipped, and `etc/skipped-reporter.js`
 * shows the reason.
 */
export function titled(title: string, missing: string | undefined): string {
  return missing === undefined ? title : `${title} (skipped: ${missing})`;
}
