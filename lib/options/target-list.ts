import { invalidOption } from '../errors';
import type { NextTarget } from './options';
import { resolveTarget } from './resolve-target';
import type { Target, TlsOptions } from './target';

/**
 * The `target` function that goes through a list, in order of preference: an outage that follows a healthy session tries
 * the target of that session first, and each further dial of the outage the next one.
 *
 * @param tls - The connection's `tls`, over which each target's is merged.
 * @throws ConnectionError `ERR_INVALID_OPTION`, which names the entry
 */
export function targetsInOrder(list: readonly Target[], tls: TlsOptions | undefined): NextTarget {
  if (list.length === 0) throw invalidOption('option `target`', 'a function, or a list with at least one target', list);
  // A copy: the application may change its own. And without the gaps of a sparse one.
  const targets = Array.from(list, (target, index) => {
    resolveTarget(target, tls, `target[${index}]`);
    return Object.freeze({ ...target });
  });
  return (attempt, { previous }) => {
    const last = previous === undefined ? -1 : targets.indexOf(previous);
    // The first dial after a healthy session. `!`: within the list, which is not empty.
    if (attempt === 1 && last !== -1) return targets[last]!;
    return targets[(last + 1) % targets.length]!;
  };
}
