// For the reference: each member of a union with its comment, and no word of classes that are not public.
import { Converter, ReflectionKind } from 'typedoc';

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    for (const reflection of project.getReflectionsByKind(ReflectionKind.All)) {
      if (reflection.isDeclaration() || reflection.isSignature()) {
        if (reflection.inheritedFrom?.reflection === undefined) reflection.inheritedFrom = undefined;
        if (reflection.overwrites?.reflection === undefined) reflection.overwrites = undefined;
      }
      if (!reflection.isDeclaration() || reflection.type?.type !== 'union') continue;
      const { types, elementSummaries } = reflection.type;
      if (elementSummaries === undefined || reflection.comment === undefined) continue;
      types.forEach((type, index) => {
        const start = `${index === 0 ? '\n\n' : '\n'}- \`${type.toString().replaceAll('"', "'")}\`: `;
        reflection.comment.summary.push({ kind: 'text', text: start }, ...elementSummaries[index]);
      });
    }
  });
}
