import { UsageError, parseArguments } from '../../lib/command/arguments';

test.each([
  ['', 'Expected a target such as tcp://127.0.0.1:6379, got none'],
  ['tcp://h:1 more', 'Expected one target, got "more" too'],
  ['--timout 1 tcp://h:1', "Unknown option '--timout'"],
  ['--hello', "Option '--hello <value>' argument missing"],
  ['--once=1 tcp://h:1', "Option '--once' does not take an argument"],
  ['--wait -1 tcp://h:1', "Option '--wait' argument is ambiguous"],
  ['--idle 1s tcp://h:1', 'Expected --idle to be milliseconds, 0 to 2147483647, got "1s"'],
  ['--idle 2147483648 tcp://h:1', 'Expected --idle to be milliseconds, 0 to 2147483647, got "2147483648"'],
  ['--max-retries 1.5 tcp://h:1', 'Expected --max-retries to be a number, 0 to 2147483647, got "1.5"'],
  ['--once --max-retries 1 tcp://h:1', 'Expected --once or --max-retries, got both: --once does not retry'],
  ['--hello \\q tcp://h:1', 'Expected --hello to have no escapes but \\r \\n \\t \\0 \\\\ \\xHH, got \\q'],
  ['--hello \\x1 tcp://h:1', 'Expected --hello to have no escapes but \\r \\n \\t \\0 \\\\ \\xHH, got \\x'],
  ['--hello \\ tcp://h:1', 'Expected --hello to have no escapes but \\r \\n \\t \\0 \\\\ \\xHH, got \\'],
  ['--insecure tcp://h:1', 'Expected --insecure beside a target that begins with tls://, got another target'],
  ['--cert c tls://h:1', 'Expected --cert and --key together, got --cert alone'],
  [
    '--ca /none tls://h:1',
    `Expected --ca to be a file that can be read, got "/none": ENOENT: no such file or directory, open '/none'`,
  ],
])('wrong arguments give one line that says what was expected: %s', (args, message) => {
  expect(() => parseArguments(args.split(' ').filter(Boolean))).toThrow(new UsageError(message));
});

test('the defaults are those of the help', () => {
  expect(parseArguments(['tcp://h:1'])).toEqual({
    target: 'tcp://h:1',
    options: {},
    hello: Buffer.alloc(0),
    lines: false,
    once: false,
    quiet: false,
    wait: 5_000,
    shutdown: true,
  });
});

test('an escape is a byte, and all else is UTF-8', () => {
  expect(parseArguments(['--hello', '\\xff\\0\\\\é\\r\\n\\t', 'tcp://h:1'])).toMatchObject({
    hello: Buffer.from([0xff, 0, 0x5c, 0xc3, 0xa9, 13, 10, 9]),
  });
});
