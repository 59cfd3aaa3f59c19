import { parseArgs } from 'node:util';

/** Reads the value of an option, and throws for one that is none. */
type Reader<Value> = (text: string, option: string) => Value;

/** What there is: a flag, an option with one value, or `[reader]` for one that may be given several times. */
type Option = 'flag' | Reader<unknown> | readonly [Reader<unknown>];

type Values<Options extends Record<string, Option>> = {
  readonly [Name in keyof Options]: Options[Name] extends Reader<infer Value>
    ? Value | undefined
    : Options[Name] extends readonly [Reader<infer Value>]
      ? readonly Value[] | undefined
      : boolean;
};

export const text: Reader<string> = (value) => value;

export const positive: Reader<number> = (value, option) => {
  if (Number(value) > 0) return Number(value);
  throw new RangeError(`Expected --${option} to be a number above 0, got ${value}`);
};

export const whole: Reader<number> = (value, option) => {
  if (Number.isInteger(Number(value)) && Number(value) > 0) return Number(value);
  throw new RangeError(`Expected --${option} to be a whole number above 0, got ${value}`);
};

/** Runs a program with the options of its command line. An error becomes a line on stderr and exit code 1. */
export function runProgram<const Options extends Record<string, Option>>(
  options: Options,
  main: (values: Values<Options>) => void | Promise<void>,
): void {
  // In a later tick, when the rest of the program's file has been evaluated.
  setImmediate(() => {
    const work = async () => main(valuesOf(options));
    work().catch((error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      process.exit(1);
    });
  });
}

function valuesOf<Options extends Record<string, Option>>(options: Options): Values<Options> {
  const entries = Object.entries(options).map(([name, option]) => {
    const type = option === 'flag' ? 'boolean' : 'string';
    return [name, { type, multiple: Array.isArray(option) }] as const;
  });
  const { values } = parseArgs({ options: Object.fromEntries(entries) });
  const read = Object.entries(options).map(([name, option]) => {
    const value = values[name];
    if (option === 'flag') return [name, value ?? false];
    if (typeof option === 'function') return [name, typeof value === 'string' ? option(value, name) : undefined];
    return [name, Array.isArray(value) ? value.map((each) => option[0](String(each), name)) : undefined];
  });
  // `as`: each value was read by the reader of its name.
  return Object.fromEntries(read) as Values<Options>;
}
