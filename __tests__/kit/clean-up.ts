const tracked: (() => unknown)[] = [];

/** Sees to it that `resource` is destroyed after the test, the latest first. Returns it. */
export function track<T extends { destroy(): unknown }>(resource: T): T {
  tracked.push(() => resource.destroy());
  return resource;
}

/** Destroys what was tracked. */
export async function cleanUp(): Promise<void> {
  for (let clean = tracked.pop(); clean !== undefined; clean = tracked.pop()) await clean();
}
