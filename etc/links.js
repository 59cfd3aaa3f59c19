// The links of Markdown pages: which there are, and how they read where the files of the repository are not at hand.
'use strict';

const { posix } = require('node:path');

/** For each host, what stands between the repository and the tag: of a page, and of a picture. */
const HOSTS = new Map([
  ['github.com', ['blob/', 'raw/']],
  ['gitlab.com', ['-/blob/', '-/raw/']],
  ['codeberg.org', ['src/tag/', 'raw/tag/']],
]);

const LINK = /(?<=\]\()[^)\s]+(?=\))|(?<=\s(?:src|srcset|href)=")[^"]+(?=")/g;
const CODE = /^(`{3,}|~{3,})[\s\S]*?^\1/gm;
const isExternal = (/** @type {string} */ link) => /^[a-z][a-z0-9+.-]*:/i.test(link);

/**
 * The targets of the links and pictures of a page, but for those in blocks of code: those of other hosts, and the others with
 * their paths from the root of the repository.
 */
function sortLinks(/** @type {string} */ page, /** @type {string} */ text) {
  const links = text.replace(CODE, '').match(LINK) ?? [];
  const inside = links
    .filter((link) => !isExternal(link))
    .map((link) => {
      const [path = '', anchor] = link.split('#');
      return { link, path: path === '' ? page : posix.normalize(posix.join(posix.dirname(page), path)), anchor };
    });
  return { external: links.filter(isExternal), inside };
}

/** Anchors of headings, as the hosts make them: a number parts headings that are alike. Also those that are named by `id`. */
function anchorsIn(/** @type {string} */ text) {
  /** @type {Map<string, number>} */
  const seen = new Map();
  const headings = [...text.replace(CODE, '').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => {
    const words = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '');
    const anchor = words.replaceAll(' ', '-');
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
  return [...headings, ...[...text.matchAll(/<a id="([^"]+)"/g)].map(([, id = '']) => id)];
}

/**
 * The repository as a web address, without `git+` and `.git`; undefined where package.json has none, or none of a host
 * whose addresses are known.
 *
 * @param {{ repository?: string | { url?: string } }} manifest
 */
function repositoryOf({ repository }) {
  const given = typeof repository === 'string' ? repository : repository?.url;
  const url =
    given
      ?.replace(/^git\+/, '')
      .replace(/\.git$/, '')
      .replace(/\/$/, '') ?? '';
  return URL.canParse(url) && url.startsWith('https:') && HOSTS.has(new URL(url).host) ? url : undefined;
}

/**
 * A page of the root of the repository with links that lead to the repository, at a tag.
 *
 * @param {string} text
 * @param {string} repository as `repositoryOf` returns it
 * @param {string} tag
 */
function makeAbsolute(text, repository, tag) {
  const [page, picture] = HOSTS.get(new URL(repository).host) ?? [];
  const replaceIn = (/** @type {string} */ prose) =>
    prose.replace(LINK, (link) => {
      if (isExternal(link) || link.startsWith('#')) return link;
      return `${repository}/${/\.(png|svg|webp|gif|jpe?g)$/.test(link) ? picture : page}${tag}/${link.replace(/^\.\//, '')}`;
    });
  let end = 0;
  const parts = [...text.matchAll(CODE)].map((code) => {
    const part = replaceIn(text.slice(end, code.index)) + code[0];
    end = code.index + code[0].length;
    return part;
  });
  return parts.join('') + replaceIn(text.slice(end));
}

module.exports = { anchorsIn, makeAbsolute, repositoryOf, sortLinks };
