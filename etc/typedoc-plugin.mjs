// For the reference: entries by the names under which they are imported, a page for each class, the other names of the main
// entry on a few pages by need, the methods of an emitter once, and the members of unions with their comments.
import { Comment, Converter, DeclarationReflection, ReflectionGroup, ReflectionKind, Slugger } from 'typedoc';
import { MarkdownPageEvent, MemberRouter } from 'typedoc-plugin-markdown';

/**
 * The pages of the main entry beside those of its classes. A name is on the first page whose pattern matches its file below
 * lib/ and itself; `first` opens the page.
 *
 * @type {readonly { page: string, need: string, names: RegExp, first?: readonly string[] }[]}
 */
const PAGES = [
  {
    page: 'options',
    need: 'set options: targets, TLS, handshakes, heartbeats, the queue, pools',
    names: /^options\/(options|target)|:(PoolOptions|EjectionOptions|SelectMember|SelectorName)$/,
    first: ['ConnectionOptions', 'CommonOptions', 'MemberOptions', 'PoolOptions', 'Target', 'TcpTarget', 'PathTarget'],
  },
  {
    page: 'events',
    need: 'listen: events, their payloads, reasons and states',
    names: /^events\/events|:(PoolEvents|EjectInfo|RestoreInfo|SourceInfo)$/,
    first: ['ConnectionEvents', 'PoolEvents'],
  },
  { page: 'backoff', need: 'choose how the waits grow', names: /^options\/backoff/ },
  { page: 'errors', need: 'handle an error by its `code`', names: /^errors/ },
  { page: 'logging', need: 'write log lines', names: /^logging\// },
  {
    page: 'diagnostics',
    need: 'read counters, or subscribe to all connections of a process',
    names:
      /:ChannelMessage$|^events\/diag|^lifecycle\/stats|^session\/|^writes\/counts|^pool\/(endpoint|connect-w)|:(PoolStats|SourceStats)$/,
  },
  {
    page: 'calls',
    need: 'look up what a method takes and returns: writes, sessions, streams',
    names:
      /^options\/write-|^writes\/write|^lifecycle\/|^streams\/|^pool\/(open-waiters|dns-targets)|:(FollowOptions|Member(Entry|Source))$|:registry$/,
  },
];

/** What the pages of classes and of further entries are for. @type {readonly (readonly [page: string, need: string])[]} */
const OTHERS = [
  ['ReconnectingConnection', 'keep one connection'],
  ['ConnectionPool', 'keep many connections, and spread writes over them'],
  ['ConnectionRegistry', 'look connections and pools up by target or name'],
  ['ConnectionError', 'recognize the errors of this library'],
];
/** @type {readonly (readonly [page: string, need: string])[]} */
const ENTRIES = [
  ['requests', 'pair requests with their answers'],
  ['delivery', 'deliver messages at least once'],
  ['testing', 'test code that uses it: a server, a proxy with faults, a scripted dial, a recorder'],
  ['prometheus', 'export metrics to Prometheus'],
  ['opentelemetry', 'export metrics to OpenTelemetry'],
];

const MAIN = 'reconnecting-connection';

/** A page for each module and class: those of the main entry side by side, those of further entries below them. */
class Router extends MemberRouter {
  buildPages(/** @type {import('typedoc').ProjectReflection} */ project) {
    this.usedFileNames = new Set();
    this.sluggers = new Map([[project, new Slugger(this.sluggerConfiguration)]]);
    /** @type {import('typedoc').PageDefinition[]} */
    const pages = [];
    // The project has no page: the main entry is in its place, and `writeIndex` adds the other entries.
    this.fullUrls.set(project, 'README.md');
    this.parseChildPages(project, pages);
    return pages;
  }

  getIdealBaseName(/** @type {import('typedoc').Reflection} */ reflection) {
    const names = [];
    for (let each = reflection; !each.isProject(); each = each.parent) names.unshift(each.name);
    const [entry = '', ...rest] = names;
    const own = entry === MAIN ? rest : [entry.replace(`${MAIN}/`, ''), ...rest];
    return own.length === 0 ? 'README' : own.join('/');
  }
}

/** @param {import('typedoc').Application} app */
export function load(app) {
  /** @type {string[]} */
  let methods = [];
  app.renderer.defineRouter('by-need', Router);
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const entry of project.getReflectionsByKind(ReflectionKind.Module)) entry.name = importedAs(entry.name);
  });
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    for (const reflection of project.getReflectionsByKind(ReflectionKind.All)) {
      if (reflection.isDeclaration() || reflection.isSignature()) {
        if (reflection.inheritedFrom?.reflection === undefined) reflection.inheritedFrom = undefined;
        if (reflection.overwrites?.reflection === undefined) reflection.overwrites = undefined;
      }
      if (reflection.isDeclaration()) tellMembers(reflection);
    }
    methods = takeEmitterMethods(project);
  });
  // After links are resolved, at -300: the comment of the main entry names what moves.
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => makePages(project, methods), -400);
  app.renderer.on(MarkdownPageEvent.END, (/** @type {MarkdownPageEvent} */ page) => {
    page.contents = page.url === 'README.md' ? writeIndex(page.contents ?? '') : listNames(page.contents ?? '');
  });
}

/** `index` is the package itself, `testing` or `adapters/prometheus` the last part under its name. */
function importedAs(/** @type {string} */ path) {
  const parts = path.split('/').filter((part) => part !== 'index');
  return parts.length === 0 ? MAIN : `${MAIN}/${parts.at(-1)}`;
}

/**
 * Moves all names of the main entry but its classes to pages by need.
 *
 * @param {import('typedoc').ProjectReflection} project
 * @param {string[]} methods
 */
function makePages(project, methods) {
  const main = project.children?.find(({ name }) => name === MAIN);
  if (main === undefined) throw new Error('The reference has no main entry');
  const pages = new Map(PAGES.map(({ page }) => [page, new DeclarationReflection(page, ReflectionKind.Module, main)]));
  for (const page of pages.values()) project.registerReflection(page, undefined, undefined);
  for (const group of main.groups ?? []) {
    for (const child of group.children) {
      if (!child.isDeclaration() || child.kind === ReflectionKind.Class) continue;
      const path = project.getSymbolIdFromReflection(child)?.packagePath.replace(/^lib\/|\.ts$/g, '');
      const page = pages.get(PAGES.find(({ names }) => names.test(`${path}:${child.name}`))?.page ?? '');
      if (page === undefined) throw new Error(`No page of the reference takes ${child.name} of ${path}`);
      main.removeChild(child);
      child.parent = page;
      page.addChild(child);
      const title = child.kindOf(ReflectionKind.Interface | ReflectionKind.TypeAlias) ? 'Types' : group.title;
      page.groups ??= [];
      let own = page.groups.find((each) => each.title === title);
      if (own === undefined) page.groups.push((own = new ReflectionGroup(title, page)));
      own.children.push(child);
    }
  }
  for (const { page: name, first = [] } of PAGES) {
    const page = pages.get(name);
    if (page === undefined) continue;
    main.addChild(page);
    const rank = (/** @type {string} */ each) => (first.includes(each) ? first.indexOf(each) : first.length);
    for (const { children } of page.groups ?? []) children.sort((a, b) => rank(a.name) - rank(b.name));
  }
  main.groups = main.groups?.filter(({ title }) => title === 'Classes');
  addMethods(pages.get('events'), methods);
}

/**
 * Takes the inherited methods of the emitter from each class. Returns them as rows of a table.
 *
 * @param {import('typedoc').ProjectReflection} project
 */
function takeEmitterMethods(project) {
  const rows = new Map();
  /** Those of the classes. @type {Set<Comment | undefined>} */
  const emitters = new Set();
  for (const each of project.getReflectionsByKind(ReflectionKind.Method)) {
    if (each.name === '[custom]') project.removeReflection(each);
    const signature = each.isDeclaration() ? each.signatures?.[0] : undefined;
    if (project.getSymbolIdFromReflection(each)?.packagePath !== 'lib/events/emitter.ts') continue;
    const parameters = signature?.parameters?.map(
      ({ name, flags }) => `${flags.isRest ? '...' : ''}${name}${flags.isOptional ? '?' : ''}`,
    );
    const meaning = Comment.combineDisplayParts(signature?.comment?.summary).replaceAll('\n', ' ');
    rows.set(each.name, `| \`${each.name}(${parameters?.join(', ') ?? ''})\` | ${meaning} |`);
    emitters.add(each.parent?.comment);
    project.removeReflection(each);
  }
  for (const comment of emitters)
    comment?.summary.push({ kind: 'text', text: ' Listener methods: [Events](events.md).' });
  return [...rows.values()];
}

/** The methods of an emitter open the page of events. */
function addMethods(/** @type {DeclarationReflection | undefined} */ events, /** @type {string[]} */ rows) {
  if (events === undefined || rows.length < 10) throw new Error('The reference has lost the methods of an emitter');
  const text = [
    'A connection, a pool and `Requests` are emitters, and have these methods. `events.once` and `events.on` of `node:events` take them too.',
    '',
    '| method | meaning |',
    '| --- | --- |',
    ...rows,
  ];
  events.comment = new Comment([{ kind: 'text', text: text.join('\n') }]);
}

/** The index: what the main entry says of itself, then the pages by need. */
function writeIndex(/** @type {string} */ contents) {
  const intro = contents.slice(contents.indexOf('\n'), contents.indexOf('\n## ')).trim();
  const rows = [...OTHERS, ...PAGES.map(({ page, need }) => /** @type {const} */ ([page, need]))];
  return [
    '# Reference',
    '',
    intro,
    '',
    '| to… | page |',
    '| --- | --- |',
    ...rows.map(([page, need]) => `| ${need} | [${page}](${page}.md) |`),
    ...ENTRIES.map(([page, need]) => `| ${need} | [${MAIN}/${page}](${page}.md) |`),
    '',
  ].join('\n');
}

/** Adds links to the names on a page that has several, below its title. */
function listNames(/** @type {string} */ contents) {
  const links = [...contents.matchAll(/^### (\w+)(?:\(\))?$/gm)].map(
    ([, name = '']) => `[${name}](#${name.toLowerCase()})`,
  );
  return /^## (Types|Interfaces)$/m.test(contents)
    ? contents.replace('\n', () => `\n\n${links.join(' · ')}\n`)
    : contents;
}

/** A union's comment goes on with a list of its members, where these have comments. */
function tellMembers(/** @type {import('typedoc').DeclarationReflection} */ { type, comment }) {
  if (type?.type !== 'union' || type.elementSummaries === undefined || comment === undefined) return;
  type.types.forEach((each, index) => {
    const start = `${index === 0 ? '\n\n' : '\n'}- \`${each.toString().replaceAll('"', "'")}\`: `;
    comment.summary.push({ kind: 'text', text: start }, ...(type.elementSummaries?.[index] ?? []));
  });
}
