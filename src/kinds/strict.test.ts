import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cannotBeHandled,
  pruneUnknownFields,
  schemaErrors,
  strictDecode,
  strictError,
  typeErrors,
  unknownFields,
} from './strict.ts';

const POD = 'io.k8s.api.core.v1.Pod';
const SERVICE = 'dev.knative.serving.v1.Service';

const duplicates: [string, string[]][] = [
  ['{"a":1,"b":2}', []],
  ['{"a":1,"a":2}', ['duplicate field "a"']],
  ['{"spec":{"x":{"y":1,"y":2}}}', ['duplicate field "spec.x.y"']],
  ['{"l":[{"a":1},{"a":1,"a":2}]}', ['duplicate field "l[1].a"']],
  ['{"l":[[1,2],[{"a":1,"a":2}]]}', ['duplicate field "l[1][0].a"']],
  ['{"a":"a","b":["a","a"],"c":{"a":1}}', []],
  ['{"a":1,"\\u0061":2}', ['duplicate field "a"']],
  ['{"q\\"":1,"q\\"":2}', ['duplicate field "q\\""']],
  ['{"a":"{\\"a\\":1,\\"a\\":2}"}', []],
  ['{"a":"x\\\\","a":1}', ['duplicate field "a"']],
  ['{"a":1,"a":2,"a":3}', ['duplicate field "a"']],
  ['{"a":{},"a":[]}', ['duplicate field "a"']],
  ['[]', []],
  ['"a"', []],
];
for (const [text, expected] of duplicates) {
  test(`duplicates in ${text}`, () => {
    const result = strictDecode(text);
    assert.deepEqual(result.duplicates, expected);
    assert.deepEqual(result.value, JSON.parse(text));
  });
}

test('what is no JSON, or nests without end, is a SyntaxError', () => {
  assert.throws(() => strictDecode('{"a":'), SyntaxError);
  assert.throws(() => strictDecode('{"a":1,}'), SyntaxError);
  assert.throws(() => strictDecode('['.repeat(100_000) + ']'.repeat(100_000)), /exceeded max depth/);
});

const pod = (spec: object): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec });

test('unknown fields, with the path upstream gives', () => {
  const object = {
    ...pod({ foo: 1, containers: [{ name: 'a', nope: true, ports: [{ containerPort: 1, x: 1 }] }] }),
    metadata: { labels: { anything: 'x' }, bar: 1 },
    extra: {},
  };
  assert.deepEqual(unknownFields(object, POD), [
    'unknown field "metadata.bar"',
    'unknown field "spec.foo"',
    'unknown field "spec.containers[0].nope"',
    'unknown field "spec.containers[0].ports[0].x"',
    'unknown field "extra"',
  ]);
  assert.equal(
    strictError(['unknown field "spec.x"', 'duplicate field "a"']),
    'strict decoding error: unknown field "spec.x", duplicate field "a"',
  );
});

test('inlined types are known: a Knative Service template is a pod spec and more', () => {
  const spec = {
    template: {
      spec: { containers: [{ image: 'x', env: [{ name: 'A', value: 'b' }] }], timeoutSeconds: 5, wrong: 1 },
    },
    traffic: [{ percent: 100, latestRevision: true }],
  };
  assert.deepEqual(unknownFields({ apiVersion: 'x', kind: 'Service', metadata: {}, spec }, SERVICE), [
    'unknown field "spec.template.spec.wrong"',
  ]);
});

test('types with their own JSON form have no fields to check', () => {
  const object = {
    metadata: { managedFields: [{ manager: 'a', fieldsV1: { 'f:x': {} } }] },
    spec: { volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Gi' } }] },
  };
  assert.deepEqual(unknownFields(object, POD), []);
});

test('pruning removes what unknownFields reports', () => {
  const object = pod({ foo: 1, containers: [{ name: 'a', nope: true }] });
  assert.deepEqual(pruneUnknownFields(object, POD), [
    'unknown field "spec.foo"',
    'unknown field "spec.containers[0].nope"',
  ]);
  assert.deepEqual(object, pod({ containers: [{ name: 'a' }] }));
});

const wrong: [string, object, string[]][] = [
  [
    'nothing wrong',
    pod({
      containers: [
        { name: 'a', ports: [{ containerPort: 80 }], resources: { limits: { cpu: '100m', memory: 64 } } },
      ],
    }),
    [],
  ],
  ['null is fine anywhere', pod({ containers: null, terminationGracePeriodSeconds: null }), []],
  [
    'text for a number',
    pod({ containers: [{ name: 'a', ports: [{ containerPort: '80' }] }] }),
    [
      'json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32',
    ],
  ],
  [
    'a fraction for an integer',
    pod({ terminationGracePeriodSeconds: 1.5 }),
    [
      'json: cannot unmarshal number into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64',
    ],
  ],
  [
    'an integer out of range',
    pod({ containers: [{ ports: [{ containerPort: 3e9 }] }] }),
    [
      'json: cannot unmarshal number 3000000000 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32',
    ],
  ],
  [
    'a number for a label',
    { metadata: { labels: { a: 1 } } },
    ['json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string'],
  ],
  [
    'an object for a list',
    pod({ containers: {} }),
    ['json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container'],
  ],
  [
    'text for an object',
    { spec: 'x' },
    ['json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec'],
  ],
  [
    'text for a bool',
    pod({ hostNetwork: 'yes' }),
    ['json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool'],
  ],
  [
    'a quantity that is none',
    pod({ containers: [{ resources: { limits: { cpu: 'much' } } }] }),
    ["quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
  ],
  [
    'a time that is none',
    { metadata: { creationTimestamp: 'today' } },
    ['parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006"'],
  ],
  [
    'int or string',
    pod({
      containers: [
        { livenessProbe: { httpGet: { port: 'http' } } },
        { livenessProbe: { httpGet: { port: 80 } } },
      ],
    }),
    [],
  ],
];
for (const [what, object, expected] of wrong) {
  test(`types: ${what}`, () => assert.deepEqual(typeErrors(object, POD), expected));
}

test('the whole message', () => {
  assert.equal(
    cannotBeHandled('Pod', 'v1', 'json: x'),
    'Pod in version "v1" cannot be handled as a Pod: json: x',
  );
});

test('custom resources speak of schemas', () => {
  assert.deepEqual(schemaErrors({ spec: { concurrency: 'many' } }, 'dev.petrel.v1.Function'), [
    {
      field: 'spec.concurrency',
      reason: 'FieldValueInvalid',
      message: 'Invalid value: "string": spec.concurrency in body must be of type integer: "string"',
    },
  ]);
});
