import type { Application } from './application';
import type { Sabotage } from './run';

/** Ways to break the library or its world, each with the rule that finds it. A gate that finds none of them is broken. */
export const sabotages = {
  'a `reset` is swallowed': { rule: 'reset', sabotage: (application) => swallow(application, 'reset') },
  'a `backoff` is swallowed': { rule: 'backoff', sabotage: (application) => swallow(application, 'backoff') },
  'a `state` is swallowed': { rule: 'state', sabotage: (application) => swallow(application, 'state') },
  'a chunk is told twice': { rule: 'data', sabotage: (application) => repeat(application, 'data') },
  'a `close` is told twice': { rule: 'close', sabotage: (application) => repeat(application, 'close') },
  'a write is sent twice': { rule: 'at most once', sabotage: sendTwice },
  'a link is left behind': { rule: 'one link', sabotage: leaveLink },
  'it moves back a probe too early': { rule: 'failback', sabotage: ({ model }) => void (model.successes += 1) },
  'a timer is left behind': { rule: 'timers', sabotage: () => void setTimeout(() => undefined, 10 ** 9) },
  'an exception gets lost': { rule: 'uncaught', sabotage: (application) => void (application.thrown += 1) },
} satisfies Record<string, { readonly rule: string; readonly sabotage: Sabotage }>;

/** How a connection tells its listeners, whatever of. */
type Emit = (event: string, ...args: unknown[]) => boolean;

/** An event that no listener hears. */
function swallow(application: Application, name: string): void {
  replaceEmit(
    application,
    (emit) =>
      (event, ...args) =>
        event !== name && emit(event, ...args),
  );
}

/** An event that every listener hears twice. */
function repeat(application: Application, name: string): void {
  replaceEmit(application, (emit) => (event, ...args) => {
    if (event === name) emit(event, ...args);
    return emit(event, ...args);
  });
}

function replaceEmit({ connection }: Application, replacement: (emit: Emit) => Emit): void {
  // `as`: seen without the map of events, for what comes through goes on as it came.
  const loose = connection as unknown as { emit: Emit };
  loose.emit = replacement(loose.emit.bind(connection));
}

/** A network whose links are handed the third write of a session twice. */
function sendTwice({ network }: Application): void {
  const { dial } = network;
  network.dial = (port) => {
    const link = dial.call(network, port);
    const { write } = link;
    link.write = (...args) => {
      if (link.writes === 2) write.call(link, args[0]);
      return write.call(link, ...args);
    };
    return link;
  };
}

/** Links that cannot be destroyed. */
function leaveLink({ network }: Application): void {
  const { dial } = network;
  network.dial = (port) => {
    const link = dial.call(network, port);
    link.destroy = () => link;
    return link;
  };
}
