import type { Plan } from './plan';
import { type Result, type Sabotage, run } from './run';

/** Runs that shrinking may take. */
const PATIENCE = 400;

/** The shortest plan found that breaks the same rule as `plan` does, and what it came to. */
export async function shrink(
  plan: Plan,
  result: Result,
  sabotage?: Sabotage,
): Promise<{ readonly plan: Plan; readonly result: Result }> {
  const rule = result.violation?.rule;
  let best = { plan: { ...plan, steps: plan.steps.slice(0, result.steps) }, result };
  let left = PATIENCE;
  const fails = async (candidate: Plan): Promise<boolean> => {
    left -= 1;
    const outcome = await run(candidate, sabotage);
    if (outcome.violation?.rule !== rule) return false;
    best = { plan: { ...candidate, steps: candidate.steps.slice(0, outcome.steps) }, result: outcome };
    return true;
  };

  for (const part of ['steps', 'impulses'] as const) {
    for (let size = Math.ceil(best.plan[part].length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      // From the end, for what comes late is seldom what it takes.
      for (let place = best.plan[part].length - size; place > -size && left > 0; place -= size) {
        const from = Math.max(0, place);
        const rest: readonly unknown[] = best.plan[part].filter((_, index) => index < from || index >= from + size);
        await fails({ ...best.plan, [part]: rest });
      }
    }
  }
  return best;
}
