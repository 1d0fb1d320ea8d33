/** Every file in examples/ that is a function answers, in the shape its folder says. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { freePort, Instance, withoutProgram } from './instance.ts';

const EXAMPLES = path.join(import.meta.dirname, '../../examples');
const SHAPES: Record<string, string> = {
  'hello/hello.ts': 'fetch',
  'hello/hello.py': 'request',
  'hello/hello.rb': 'request',
  'hello/hello.php': 'request',
  'hello/hello.pl': 'request',
  'shapes/fetch.ts': 'fetch',
  'shapes/stream.ts': 'fetch',
  'shapes/node-http.ts': 'http',
  'shapes/knative.ts': 'knative',
  'shapes/fission.js': 'fission',
  'shapes/lambda.mjs': 'lambda',
  'shapes/program.mjs': 'program',
  'shapes/fission.py': 'fission',
  'shapes/lambda.py': 'lambda',
  'shapes/wsgi.py': 'wsgi',
  'shapes/asgi.py': 'asgi',
  'shapes/program.py': 'program',
  'shapes/rack.ru': 'rack',
  'shapes/script.php': 'script',
  'shapes/stream.psgi': 'psgi',
};

/** By extension: the runtime, and the program that it needs. Everything else is node's. */
const RUNTIMES: Record<string, [runtime: string, program: string]> = {
  '.py': ['python', 'python3'],
  '.rb': ['ruby', 'ruby'],
  '.ru': ['ruby', 'ruby'],
  '.php': ['php', 'php'],
  '.pl': ['perl', 'perl'],
  '.psgi': ['perl', 'perl'],
};

test('every example is listed here', () => {
  const sources = ['hello', 'shapes'].flatMap((dir) =>
    fs
      .readdirSync(path.join(EXAMPLES, dir))
      .filter((name) => /\.(py|rb|ru|php|pl|psgi|[cm]?[jt]s)$/.test(name))
      .map((name) => `${dir}/${name}`),
  );
  assert.deepEqual(sources.sort(), Object.keys(SHAPES).sort());
});

for (const [file, shape] of Object.entries(SHAPES)) {
  const [runtime, program] = RUNTIMES[path.extname(file)] ?? ['node', 'sh'];
  test(`${file} answers as ${shape}`, {
    skip: withoutProgram(program) ?? false,
  }, async (t) => {
    const instance = await Instance.start({ runtime });
    t.after(() => instance.stop());
    const name = path.basename(file);
    const port = await freePort();
    const files = { [name]: fs.readFileSync(path.join(EXAMPLES, file)) };
    const result = await instance.specialise(files, { entry: name, port });
    assert.equal(result.shape, shape);
    if (shape === 'program') {
      assert.match(await (await fetch(`http://127.0.0.1:${port}/`)).text(), /^Hello from a program/);
      return;
    }
    const data = await instance.connect();
    const answer = await data.request({ method: 'POST', target: '/there?name=Ada', body: 'a body' });
    assert.equal(answer.status, 200, answer.body.toString());
    assert.ok(answer.body.length > 0);
  });
}
