import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_SERVING_CONFIG } from '../config/index.ts';
import type { UntypedObject } from '../object.ts';
import { builtinRegistry } from '../registry.ts';

const context = { config: DEFAULT_SERVING_CONFIG };

const registry = builtinRegistry();
const DIGEST = `sha256:${'a'.repeat(64)}`;

const fn = (spec: object, name = 'hello'): UntypedObject => ({
  apiVersion: 'petrel.dev/v1',
  kind: 'Function',
  metadata: { name, namespace: 'default' },
  spec: { runtime: 'node', package: { digest: DIGEST }, ...structuredClone(spec) },
});
const runtime = (spec: object): UntypedObject => ({
  apiVersion: 'petrel.dev/v1',
  kind: 'Runtime',
  metadata: { name: 'node' },
  spec: { language: 'node', extensions: ['.ts'], command: ['$(NODE)'], ...structuredClone(spec) },
});

function problems(object: UntypedObject): string[] {
  const { strategy } = registry.byKind('petrel.dev', 'v1', object.kind)!;
  strategy.setDefaults?.(object, undefined, context);
  return (strategy.validate?.(object) ?? []).map((e) => `${e.field}: ${e.message}`);
}

test('defaults', () => {
  const object = fn({});
  assert.deepEqual(problems(object), []);
  assert.equal(object.spec.timeoutSeconds, 300);
  assert.equal(object.spec.concurrency, 0);
});

test('everything a Function can say', () => {
  assert.deepEqual(
    problems(
      fn({
        entry: 'src/hello.ts',
        handler: 'default',
        shape: 'handler',
        env: [
          { name: 'A', value: '1' },
          { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        ],
        envFrom: [{ secretRef: { name: 's' } }],
        volumes: [{ name: 'v', configMap: { name: 'c' } }],
        volumeMounts: [{ name: 'v', mountPath: '/etc/c' }],
        resources: { limits: { cpu: '1', memory: '128Mi' } },
        concurrency: 10,
        scale: { min: 1, max: 5 },
        timeoutSeconds: 600,
      }),
    ),
    [],
  );
  assert.deepEqual(problems(fn({ scale: { min: 3, max: 0 } })), [], 'a max of 0 is no limit');
  assert.deepEqual(problems(runtime({ pool: { min: 1, max: 4 }, env: [{ name: 'A' }] })), []);
});

const wrong: [string, UntypedObject, RegExp[]][] = [
  ['name', fn({}, '1hello'), [/^metadata\.name: Invalid value: "1hello": a DNS-1035 label/]],
  ['long name', fn({}, 'x'.repeat(64)), [/^metadata\.name: .*must be no more than 63 characters/]],
  [
    'name of a revision of another',
    {
      ...fn({}),
      metadata: {
        name: 'hello',
        namespace: 'default',
        annotations: { 'petrel.dev/revision-name': 'other-1' },
      },
    } as UntypedObject,
    [
      /^metadata\.annotations\[petrel\.dev\/revision-name\]: Invalid value: "other-1": must begin with "hello-"$/,
    ],
  ],
  ['no runtime', fn({ runtime: '' }), [/^spec\.runtime: Required value: name of a Runtime/]],
  ['no package', fn({ package: undefined }), [/^spec\.package\.digest: Required value/]],
  [
    'digest',
    fn({ package: { digest: 'sha256:ABC' } }),
    [/^spec\.package\.digest: Invalid value: "sha256:ABC"/],
  ],
  ['absolute entry', fn({ entry: '/etc/passwd' }), [/^spec\.entry: .*must be a relative path$/]],
  ['entry upwards', fn({ entry: '../x' }), [/^spec\.entry: .*must not contain '\.\.'$/]],
  [
    'shape',
    fn({ shape: 'square' }),
    [/^spec\.shape: Unsupported value: "square": supported values: "handler", "program", "fission"$/],
  ],
  [
    'concurrency',
    fn({ concurrency: 1001 }),
    [/^spec\.concurrency: Invalid value: 1001: must be between 0 and 1000, inclusive$/],
  ],
  [
    'timeout',
    fn({ timeoutSeconds: 0 }),
    [/^spec\.timeoutSeconds: Invalid value: 0: must be between 1 and 600, inclusive$/],
  ],
  [
    'scale',
    fn({ scale: { min: 3, max: 2 } }),
    [/^spec\.scale\.min: Invalid value: 3: must be less than or equal to max \(2\)$/],
  ],
  ['negative scale', fn({ scale: { min: -1 } }), [/^spec\.scale\.min: Invalid value: -1/]],
  [
    'reserved variable',
    fn({ env: [{ name: 'PORT', value: '1' }] }),
    [/^spec\.env\[0\]\.name: Invalid value: "PORT": is set by the platform$/],
  ],
  [
    'mount without volume',
    fn({ volumeMounts: [{ name: 'v', mountPath: '/v' }] }),
    [/^spec\.volumeMounts\[0\]\.name: Not found: "v"$/],
  ],
  [
    'volume without mount',
    fn({ volumes: [{ name: 'v', emptyDir: {} }] }),
    [/^spec\.volumes: Invalid value: "v": is not mounted/],
  ],
  [
    'extension',
    runtime({ extensions: ['ts', '.js', '.js'] }),
    [/^spec\.extensions\[0\]: Invalid value: "ts"/, /^spec\.extensions\[2\]: Duplicate value: "\.js"$/],
  ],
  ['no command', runtime({ command: [] }), [/^spec\.command: Required value/]],
  ['pool', runtime({ pool: { min: 2, max: 1 } }), [/^spec\.pool\.min: /]],
];
for (const [what, object, expected] of wrong) {
  test(`${object.kind} refused: ${what}`, () => {
    const found = problems(object);
    assert.equal(found.length, expected.length, found.join('\n'));
    for (const [i, pattern] of expected.entries()) assert.match(found[i] ?? '', pattern);
  });
}

test('labels for Pods are a JSON object of labels', () => {
  const labelled = (text: string) => {
    const object = fn({});
    object.metadata.annotations = { 'petrel.dev/pod-labels': text };
    return problems(object);
  };
  assert.deepEqual(labelled('{"functionName":"hello"}'), []);
  for (const text of ['{', '[1]', '{"a":1}', '{"a b":"c"}', 'null'])
    assert.match(labelled(text)[0] ?? '', /^metadata\.annotations\[petrel\.dev\/pod-labels\]: Invalid/, text);
});
