// npm for a machine that has none: one version, from the registry, checked against the digest that stands here.
'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { gunzipSync } = require('node:zlib');

const VERSION = '11.21.2';
const INTEGRITY = '7HPApk+AflMUavSseL1Pm6CnYqMIHk53x+KmuhqmTDqPkjPMgxIpTPcTqsE91EKNw4gFBJV9fnXiSdGm1DXq9A==';
const REGISTRY = 'https://registry.npmjs.org';
const BLOCK = 512;

/** Files of a tar as npm packs it: no links, names up to 255 bytes. */
function* filesOf(tar) {
  const text = (from, length) => tar.toString('utf8', from, from + length).replace(/\0.*$/s, '');
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8) || 0;
    const prefix = text(at + 345, 155);
    const name = prefix === '' ? text(at, 100) : `${prefix}/${text(at, 100)}`;
    const type = text(at + 156, 1);
    if (type === '0' || type === '') yield { name, body: tar.subarray(at + BLOCK, at + BLOCK + size) };
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
}

/** Unpacks npm into the cache unless it is there; resolves to the path of its command. Throws when the registry has something else. */
async function bringNpm(cache, env) {
  const target = path.join(cache, `npm-cli-${VERSION}`);
  const command = path.join(target, 'package/bin/npm-cli.js');
  if (fs.existsSync(command)) return command;
  const registry = (env.NPM_CONFIG_REGISTRY ?? env.npm_config_registry ?? REGISTRY).replace(/\/$/, '');
  process.stdout.write(`this machine has no npm: bringing npm ${VERSION} from ${registry}\n`);
  const response = await fetch(`${registry}/npm/-/npm-${VERSION}.tgz`);
  if (!response.ok)
    throw new Error(
      `npm ${VERSION} could not be brought: ${response.status} from ${registry}. Install npm, or set NPM_CONFIG_REGISTRY.`,
    );
  const archive = Buffer.from(await response.arrayBuffer());
  if (createHash('sha512').update(archive).digest('base64') !== INTEGRITY)
    throw new Error(`${registry} has another npm ${VERSION} than the one that is known: it is not used`);
  const fresh = `${target}.new`;
  fs.rmSync(fresh, { recursive: true, force: true });
  for (const { name, body } of filesOf(gunzipSync(archive))) {
    const file = path.join(fresh, name);
    if (!file.startsWith(`${fresh}${path.sep}`))
      throw new Error(`npm ${VERSION} has a file outside of itself: ${name}`);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, body);
  }
  fs.renameSync(fresh, target);
  return command;
}

module.exports = { bringNpm };
