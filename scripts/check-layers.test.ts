import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { brokenRule, checkLayers, relativeImports } from './check-layers.ts';

test('imports are found in every form, and packages are not taken for files', () => {
  const source = [
    "import { a } from './a.ts';",
    "import type { B } from '../b.ts';",
    "import {\n  c,\n  d,\n} from './c.ts';",
    "export * from './e.ts';",
    "import './f.ts';",
    "const g = await import('./g.ts');",
    "import fs from 'node:fs';",
    "import yaml from 'yaml';",
    "const text = 'not an import from nowhere';",
  ].join('\n');
  assert.deepEqual(relativeImports(source), ['./a.ts', '../b.ts', './c.ts', './e.ts', './f.ts', './g.ts']);
});

const allowed: [string, string][] = [
  ['src/cli/main.ts', 'src/platform/home.ts'],
  ['src/platform/embedded.ts', 'src/engine/store/store.ts'],
  ['src/serving/serving.ts', 'src/gateway/contract.ts'],
  ['src/engine/apiserver/server.ts', 'src/engine/store/store.ts'],
  ['src/engine/apiserver/front.ts', 'src/kube/transport.ts'],
  ['src/engine/node/agent.ts', 'src/kube/informer.ts'],
  ['src/gateway/listener.ts', 'src/gateway/http/parser.ts'],
  ['src/engine/node/testing.ts', 'src/engine/apiserver/server.ts'],
  ['src/functions/pool.test.ts', 'src/functions/testing/world.ts'],
];
const refused: [string, string][] = [
  ['src/kinds/object.ts', 'src/kube/client.ts'],
  ['src/serving/serving.ts', 'src/gateway/listener.ts'],
  ['src/functions/pool.ts', 'src/engine/node/agent.ts'],
  ['src/engine/store/store.ts', 'src/engine/apiserver/server.ts'],
  ['src/engine/apiserver/server.ts', 'src/kube/client.ts'],
  ['src/platform/embedded.ts', 'src/cli/output.ts'],
  ['src/functions/pool.ts', 'runtimes/node/loader.ts'],
  ['runtimes/node/loader.ts', 'src/base/log.ts'],
  ['examples/hello/hello.ts', 'src/base/log.ts'],
  ['src/unknown/x.ts', 'src/base/log.ts'],
  ['src/functions/pool.ts', 'src/functions/testing/world.ts'],
  ['src/serving/serving.ts', 'src/kube/testing.ts'],
];
for (const [from, to] of allowed)
  test(`${from} may import ${to}`, () => assert.equal(brokenRule(from, to), undefined));
for (const [from, to] of refused)
  test(`${from} must not import ${to}`, () => assert.ok(brokenRule(from, to)));

test('a broken rule in a tree is reported with file and rule; tests and fixtures are left out', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'petrel-layers-'));
  t.after(() => rmSync(root, { recursive: true }));
  const files: Record<string, string> = {
    'src/kinds/bad.ts': "import { x } from '../cli/main.ts';\n",
    'src/kinds/bad.test.ts': "import { x } from '../cli/main.ts';\n",
    'src/kinds/fixtures/bad.ts': "import { x } from '../../cli/main.ts';\n",
    'src/cli/main.ts': "import { x } from '../kinds/bad.ts';\n",
    'src/cli/types.ts': "import type { Server } from 'node:http';\n",
    'src/cli/costly.ts': "import { request } from 'node:http';\n",
    'runtimes/node/ok.js': "import fs from 'node:fs';\n",
    'examples/hello.ts': 'export default {};\n',
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  assert.deepEqual(checkLayers(root), [
    { file: 'src/cli/costly.ts', imports: 'node:http', rule: 'src/base/http.ts says why' },
    { file: 'src/kinds/bad.ts', imports: 'src/cli/main.ts', rule: 'src/cli lies above src/kinds' },
  ]);
});
