import { until as published } from '../../lib/testing/until';

/** `until` of `reconnecting-connection/testing` with a longer default deadline: 10 s, for a busy machine. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  { deadline = 10_000, ...options }: { readonly deadline?: number | undefined; readonly what?: () => string } = {},
): Promise<void> {
  await published(holds, { deadline, ...options });
}
