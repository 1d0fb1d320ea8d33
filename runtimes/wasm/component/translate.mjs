/**
 * Translates components into modules and the JavaScript that joins them: `node translate.mjs <tools> <component> <directory>`.
 * What the result imports at run time is copied beside it, so that whoever runs it brings nothing.
 */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [tools = '', component = '', target = ''] = process.argv.slice(2);
const { resolve } = createRequire(path.join(tools, 'package.json'));
/** What runs beside the component: the packages of the host, without what is for browsers and compilers. */
const HOST = ['preview2-shim', 'jco-node-fs', `jco-node-fs-linux-${process.arch}-gnu`];
const LEFT_OUT = /\.d\.ts$|\.map$|\/dist\/browser$|\/types$/;

const main = resolve('@bytecodealliance/jco-transpile');
const { transpileBytes } = await import(pathToFileURL(main).href);
const { files, imports, exports } = await transpileBytes(fs.readFileSync(component), {
  name: 'component',
  instantiation: 'sync',
  minify: true,
});
if (!exports.some(([name]) => name === 'incomingHandler')) {
  const found = exports.map(([name]) => name).join(', ') || 'nothing';
  console.error(
    `${path.basename(component)} does not export wasi:http/incoming-handler, which the world wasi:http/proxy asks for; it exports ${found}`,
  );
  process.exit(1);
}
const unknown = imports.filter(
  (name) => !/^wasi:(cli|clocks|filesystem|http|io|random|sockets)\//.test(name),
);
if (unknown.length > 0) {
  console.error(`${path.basename(component)} imports what is not part of WASI 0.2: ${unknown.join(', ')}`);
  process.exit(1);
}
for (const [name, bytes] of Object.entries(files)) {
  if (LEFT_OUT.test(name)) continue;
  const file = path.join(target, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, bytes);
}
fs.writeFileSync(path.join(target, 'package.json'), '{"type":"module"}\n');
const packages = path.join(tools, 'node_modules/@bytecodealliance');
for (const name of HOST) {
  const from = path.join(packages, name);
  if (!fs.existsSync(from)) continue;
  fs.cpSync(from, path.join(target, 'node_modules/@bytecodealliance', name), {
    recursive: true,
    filter: (file) => !LEFT_OUT.test(file),
  });
}
