import { compiled } from './compiled';
import { runInNamespace } from './namespace';

/** A function that can run in a process of its own: its arguments and its result are sent as JSON. */
type Scenario = (...args: never[]) => Promise<unknown>;

/**
 * The functions of a module, each played in its own process in a private network, where nothing that one does to the
 * network is left for the next.
 *
 * @typeParam Scenes - the module's type: `import type * as scenes`, then `typeof scenes`
 * @param file - where it is among the tests, without its ending
 */
export function inPrivateNetwork<Scenes extends Record<keyof Scenes, Scenario>>(file: string) {
  return async <Name extends keyof Scenes & string>(
    name: Name,
    ...args: Parameters<Scenes[Name]>
  ): Promise<Awaited<ReturnType<Scenes[Name]>>> => {
    const scenes = await compiled(file);
    const { code, said, stdout, stderr } = await runInNamespace('kit/scenario-process', [
      scenes,
      name,
      JSON.stringify(args),
    ]);
    if (code !== 0 || said.length === 0) throw new Error(`${name} ended with ${String(code)}: ${stderr}${stdout}`);
    // `as`: the last thing that the process says is what the scene returned.
    return said.at(-1) as Awaited<ReturnType<Scenes[Name]>>;
  };
}
