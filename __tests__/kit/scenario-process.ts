// Plays one scene of a module, and says what it returned: node scenario-process.js <module> <name> <arguments as JSON>
import { cleanUp } from './clean-up';

type Scenes = Readonly<Record<string, ((...args: unknown[]) => Promise<unknown>) | undefined>>;

async function play(file: string, name: string, args: string): Promise<void> {
  // `as`: who started this process has checked it against the module's type.
  const scene = ((await import(file)) as Scenes)[name];
  if (scene === undefined) throw new Error(`There is no ${name} in ${file}`);
  try {
    const result = await scene(...(JSON.parse(args) as unknown[]));
    process.stdout.write(`${JSON.stringify(result ?? null)}\n`);
  } finally {
    await cleanUp();
  }
}

const [file = '', name = '', args = '[]'] = process.argv.slice(2);
void play(file, name, args);
