/** Waits until `holds` is true, asked again and again; throws when it is not by the deadline (10 s, unless told). */
export async function until(
  holds: () => boolean | Promise<boolean>,
  {
    deadline = 10_000,
    what = () => holds.toString(),
  }: { readonly deadline?: number | undefined; readonly what?: () => string } = {},
): Promise<void> {
  const end = performance.now() + deadline;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`Not so within ${deadline} ms: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
