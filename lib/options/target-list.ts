import { frozen } from './checks';
import { invalidOption } from '../errors';
import type { NextTarget } from './options';
import { resolveTarget } from './resolve-target';
import type { ResolvedTarget, Target, TlsOptions } from './target';

/**
 * The targets of a list. Each is an object of its own, so that it says its place in the list.
 *
 * @param tls - The connection's `tls`, over which each target's is merged.
 * @throws ConnectionError `ERR_INVALID_OPTION`, which names the entry
 */
export function resolveList(list: readonly Target[], tls: TlsOptions | undefined): readonly ResolvedTarget[] {
  if (list.length === 0) throw invalidOption('option `target`', 'a function, or a list with at least one target', list);
  // Without the gaps of a sparse one.
  return Array.from(list, (target, index) => frozen({ ...resolveTarget(target, tls, `target[${index}]`) }));
}

/**
 * The `target` function that goes through a list, in order of preference: an outage that follows a healthy session tries
 * the target of that session first, and each further dial of the outage the next one. It returns members of the list.
 */
export function targetsInOrder(targets: readonly ResolvedTarget[]): NextTarget {
  return (attempt, { previous }) => {
    const last = targets.findIndex((each) => each === previous);
    // The first dial after a healthy session. `!`: within the list, which is not empty.
    if (attempt === 1 && last !== -1) return targets[last]!;
    return targets[(last + 1) % targets.length]!;
  };
}
