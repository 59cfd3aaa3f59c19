import { readFileSync } from 'node:fs';

/** The code blocks of the testing guide, by heading. */
export function guide() {
  const text = readFileSync(new URL('../../../docs/guides/testing.md', import.meta.url), 'utf8');
  /** @type {Record<string, string>} */
  const blocks = {};
  for (const section of text.split(/^## /m)) {
    const code = /^```js\n([\s\S]*?)^```/m.exec(section)?.[1];
    if (code !== undefined) blocks[section.slice(0, section.indexOf('\n'))] = code;
  }
  return blocks;
}
