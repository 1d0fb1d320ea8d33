// @ts-check
'use strict';
/** From a package to a site: which directory, and how what is not there is answered. */

const fs = require('node:fs');
const path = require('node:path');
const { SpecialiseError, insidePackage, listing } = require('../../node/lib/entry.cjs');
const { Site } = require('./site.cjs');
const { serve } = require('./serve.cjs');

/** Where builds put a site, when the package itself has none at its top. */
const FOLDERS = ['public', 'dist', 'build', 'out', 'site', '_site', 'www'];
/** @type {Record<string, string>} */
const MODES = {
  files: 'what is not there is answered with 404.html, or with a line of text (the default)',
  spa: 'pages that are not there are answered with index.html',
};

/** @param {string} root @param {string | undefined} entry @returns {{dir: string, index: string}} @throws {InstanceType<typeof SpecialiseError>} EntryNotFound */
function directoryOf(root, entry) {
  if (entry !== undefined && entry !== '') {
    const named = insidePackage(root, entry);
    const stats = fs.statSync(named, { throwIfNoEntry: false });
    if (stats?.isDirectory()) return { dir: named, index: 'index.html' };
    if (stats?.isFile()) return { dir: path.dirname(named), index: path.basename(named) };
    throw new SpecialiseError('EntryNotFound', `there is no file ${entry} in the package; ${listing(root)}`, {
      file: entry,
    });
  }
  for (const folder of ['.', ...FOLDERS])
    if (fs.existsSync(path.join(root, folder, 'index.html')))
      return { dir: path.join(root, folder), index: 'index.html' };
  if (fs.readdirSync(root).length === 0) throw new SpecialiseError('EntryNotFound', listing(root));
  return { dir: root, index: 'index.html' };
}

/** @param {any} params of `specialise` @returns {import('../../node/lib/loader.cjs').Loaded} @throws {InstanceType<typeof SpecialiseError>} */
function load({ code, entry, handler, revision }) {
  if (handler && !Object.hasOwn(MODES, handler)) {
    const list = Object.entries(MODES).map(([name, what]) => `${name} (${what})`);
    throw new SpecialiseError(
      'HandlerNotFound',
      `there is no mode "${handler}"; there are ${list.join(', ')}`,
    );
  }
  const { dir, index } = directoryOf(fs.realpathSync(code), entry);
  const cacheControl = process.env.CACHE_CONTROL?.replace(/[^\t\x20-\x7e]/g, '');
  const site = new Site(fs.realpathSync(dir), {
    revision: revision ?? '',
    spa: handler === 'spa',
    index,
    cacheControl: cacheControl === '' ? undefined : cacheControl,
  });
  return { shape: handler || 'files', transport: { kind: 'mux' }, dispatch: serve(site) };
}

module.exports = { load };
