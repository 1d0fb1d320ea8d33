import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UntypedObject } from './object.ts';
import { builtinRegistry } from './registry.ts';
import {
  checkFieldSelector,
  matchesFields,
  matchesLabels,
  parseFieldSelector,
  parseLabelSelector,
  requirementsOf,
} from './selectors.ts';

const registry = builtinRegistry();
const pods = registry.find('', 'v1', 'pods')!;
const configmaps = registry.find('', 'v1', 'configmaps')!;
const functions = registry.find('petrel.dev', 'v1', 'functions')!;

const labels = { app: 'web', tier: 'front', weight: '7', empty: '' };
const matching: [string, boolean][] = [
  ['', true],
  ['app=web', true],
  ['app==web,tier=front', true],
  ['app=api', false],
  ['app!=api', true],
  ['absent!=x', true],
  ['app in (api, web)', true],
  ['app in (api)', false],
  ['app notin (api,db),tier', true],
  ['absent notin (x)', true],
  ['!absent', true],
  ['!app', false],
  ['app', true],
  ['empty=', true],
  ['empty in ()', true],
  ['weight>6', true],
  ['weight<7', false],
  ['app>1', false],
  [' app = web , tier in ( front ) ', true],
  ['in in (in)', false],
];
for (const [selector, expected] of matching) {
  test(`label selector «${selector}» ${expected ? 'matches' : 'does not match'}`, () => {
    assert.equal(matchesLabels(parseLabelSelector(selector), labels), expected);
  });
}

const broken: [string, string][] = [
  ['a,,b', "found ',', expected: identifier after ','"],
  ['a,', "found '', expected: identifier after ','"],
  ['=b', "found '=', expected: !, identifier, or 'end of string'"],
  ['a in b', "unable to parse requirement: found 'b' expected: '('"],
  ['a foo b', "unable to parse requirement: found 'foo', expected: in, notin, =, ==, !=, gt, lt"],
  ['a=b c', "found 'c', expected: ',' or 'end of string'"],
  ['a in (b', "unable to parse requirement: found '', expected: ',' or ')'"],
];
for (const [selector, message] of broken) {
  test(`label selector «${selector}» is refused`, () => {
    assert.throws(() => parseLabelSelector(selector), { message });
  });
}

test('invalid keys and values are refused', () => {
  assert.throws(() => parseLabelSelector('a/b/c=d'), /Invalid value: "a\/b\/c": a qualified name/);
  assert.throws(
    () => parseLabelSelector('a=-d'),
    /values\[0\]\[a\]: Invalid value: "-d": a valid label must/,
  );
});

test('a LabelSelector object', () => {
  const requirements = requirementsOf({
    matchLabels: { app: 'web' },
    matchExpressions: [
      { key: 'tier', operator: 'In', values: ['front', 'back'] },
      { key: 'gone', operator: 'DoesNotExist' },
    ],
  });
  assert.equal(matchesLabels(requirements, labels), true);
  assert.equal(matchesLabels(requirements, { ...labels, gone: '' }), false);
  assert.throws(
    () => requirementsOf({ matchExpressions: [{ key: 'a', operator: 'Near' }] }),
    /"Near" is not a valid/,
  );
});

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'a', namespace: 'default' },
  spec: { nodeName: 'n1', containers: [] },
  status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }] },
} as UntypedObject;

test('field selectors match metadata and the fields of the kind', () => {
  for (const [text, expected] of [
    ['metadata.name=a', true],
    ['metadata.name==a,metadata.namespace!=other', true],
    ['spec.nodeName=n1,status.phase!=Succeeded,status.phase!=Failed', true],
    ['spec.hostNetwork=false', true],
    ['status.podIPs=10.0.0.1', true],
    ['status.phase=Pending', false],
    ['', true],
  ] as const) {
    const requirements = parseFieldSelector(text);
    checkFieldSelector(pods, requirements);
    assert.equal(matchesFields(pods, requirements, pod), expected, text);
  }
});

test('escapes in field selectors', () => {
  assert.deepEqual(parseFieldSelector('a=x\\,y\\=z'), [{ field: 'a', equal: true, value: 'x,y=z' }]);
  assert.throws(() => parseFieldSelector('a'), /invalid selector: 'a'; can't understand 'a'/);
  assert.throws(() => parseFieldSelector('a=b=c'), /unescaped character/);
});

test('unknown field labels are refused in the words of the kind', () => {
  const requirements = parseFieldSelector('foo=bar');
  assert.throws(() => checkFieldSelector(pods, requirements), { message: 'field label not supported: foo' });
  assert.throws(() => checkFieldSelector(configmaps, requirements), {
    message: '"foo" is not a known field selector: only "metadata.name", "metadata.namespace"',
  });
  assert.throws(() => checkFieldSelector(functions, requirements), {
    message: 'field label not supported: foo',
  });
});
