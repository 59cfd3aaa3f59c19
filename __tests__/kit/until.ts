import { until as published } from '../../lib/testing/until';

/** Waits until `holds` is true, as `reconnecting-connection/testing` does, but for longer (10 s, unless told). */
export async function until(
  holds: () => boolean | Promise<boolean>,
  { deadline = 10_000, ...options }: { readonly deadline?: number | undefined; readonly what?: () => string } = {},
): Promise<void> {
  await published(holds, { deadline, ...options });
}
