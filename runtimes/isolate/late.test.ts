/** Which modules can be given to an isolate as a script, and that they are the same then. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const { lateOf } = createRequire(import.meta.url)('./lib/late.cjs') as {
  lateOf(source: string): string | undefined;
};

/** What the default export is after the script has run. */
const evaluated = (source: string): unknown => {
  const exported: { d?: unknown } = {};
  const script = lateOf(source);
  assert.ok(script !== undefined, 'it can be given late');
  assert.ok(script.split('\n').length <= source.split('\n').length + 1, 'lines stay where they are');
  new Function('$petrel', script)(exported);
  return typeof exported.d === 'function' ? exported.d() : exported.d;
};

const given: [source: string, says: unknown][] = [
  ['export default 5', 5],
  ['export default(1, 2)\n', 2],
  ['export default {\n  a: 1 };\n', { a: 1 }],
  ['const a = 1;\nexport default { a }\n;[2].length', { a: 1 }],
  ['export default () => a;\nconst a = 7;', 7],
  ['export default async => 3', 3],
  ['export default function main() { return main.name + later(); }\nfunction later() { return 1; }', 'main1'],
  ['export\n  default function* each() { yield 1; }\n(0)', {}],
  ['const x = 4; export { x as default };', 4],
  ['const x = 4, y = 1;\nexport {\n  y,\n  x as default\n};\n// end', 4],
  ['let x = 1; export { x as default }; x = 2;', 2],
];
for (const [source, says] of given) {
  test(`given late: ${source.replaceAll('\n', ' ')}`, () => {
    const got = evaluated(source);
    if (typeof says === 'object' && says !== null) assert.deepEqual({ ...(got as object) }, says);
    else assert.equal(got, says);
  });
}

const refused = [
  'export const a = 1;',
  'export default class Worker {}',
  'export default function () { return 1; }',
  'export default async function () { return 1; }',
  'import a from "./a.js";\nexport default a;',
  'export default () => import("./a.js");',
  'export default import.meta.url;',
  'export { default } from "./a.js";',
  'export * from "./a.js";',
  'const a = 1;\nexport { a };',
  '// what we export\nexport default 1;',
  'const $petrel = 1; export default $petrel;',
  'const a = 1, b = 2; export default a<!--b\n;',
  'const nothing = 1;',
  `export default ${JSON.stringify('x'.repeat(300_000))}`,
];
for (const source of refused) {
  test(`not given late: ${source.slice(0, 60).replaceAll('\n', ' ')}`, () => {
    assert.equal(lateOf(source), undefined);
  });
}
