// For the reference: entries by the names under which they are imported, the members of unions with their comments, and
// no word of classes that are not public.
import { Converter, ReflectionKind } from 'typedoc';

/** @param {import('typedoc').Application} app */
export function load(app) {
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
  });
}

/** `index` is the package itself, `testing` or `adapters/prometheus` the last part under its name. */
function importedAs(/** @type {string} */ path) {
  const parts = path.split('/').filter((part) => part !== 'index');
  return parts.length === 0 ? 'reconnecting-connection' : `reconnecting-connection/${parts.at(-1)}`;
}

/** A union's comment goes on with a list of its members, where these have comments. */
function tellMembers(/** @type {import('typedoc').DeclarationReflection} */ { type, comment }) {
  if (type?.type !== 'union' || type.elementSummaries === undefined || comment === undefined) return;
  type.types.forEach((each, index) => {
    const start = `${index === 0 ? '\n\n' : '\n'}- \`${each.toString().replaceAll('"', "'")}\`: `;
    comment.summary.push({ kind: 'text', text: start }, ...(type.elementSummaries?.[index] ?? []));
  });
}
