/** When a function has another version, and which versions may go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Environment, FissionFunction, FunctionAlias, FunctionVersion, Package } from './model.ts';
import { isBuilt, isSame, nextVersion, outdated, packageDigest, versionsOf } from './publishing.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const fn = (spec: Partial<FissionFunction['spec']> = {}): FissionFunction => ({
  apiVersion: 'fission.io/v1',
  kind: 'Function',
  metadata: { name: 'f', namespace: 'default', uid: 'u', generation: 3 },
  spec: { package: { packageref: { name: 'p', namespace: 'default' }, functionName: 'go' }, ...spec },
});
const environment = {
  metadata: { name: 'e', generation: 2 },
  spec: { version: 3, runtime: { image: 'node-env' } },
} as Environment;
const version = (sequence: number, of = fn()): FunctionVersion =>
  nextVersion(of, environment, DIGEST, sequence, '2026-01-01T00:00:00Z');

test('a version is its function without versioning, and a package of its own', () => {
  const { metadata, spec } = version(4, fn({ versioning: { mode: 'auto', retain: 3 } }));
  assert.equal(metadata.name, 'f-v4');
  assert.deepEqual(spec.snapshot, {
    package: { packageref: { name: 'f-v4-pkg', namespace: 'default' }, functionName: 'go' },
  });
  assert.deepEqual([spec.functionGeneration, spec.envObservedGeneration], [3, 2]);
});

const CHANGES: [what: string, spec: Partial<FissionFunction['spec']>, same: boolean][] = [
  ['nothing', {}, true],
  [
    'empty fields as typed clients send them',
    { secrets: null, resources: {}, concurrency: 0, env: [] },
    true,
  ],
  [
    'the resource version of the package',
    {
      package: { packageref: { name: 'p', namespace: 'default', resourceversion: '9' }, functionName: 'go' },
    },
    true,
  ],
  ['how long idle instances stay', { idletimeout: 9 }, true],
  ['what is kept warm', { provisionedConcurrency: { target: 2 }, retainPods: 1 }, true],
  ['versioning itself', { versioning: { mode: 'auto', retain: 1 } }, true],
  ['a variable', { env: [{ name: 'A', value: '1' }] }, false],
  ['the entry point', { package: { packageref: { name: 'p' }, functionName: 'other' } }, false],
  [
    'the package',
    { package: { packageref: { name: 'q', namespace: 'default' }, functionName: 'go' } },
    false,
  ],
  ['the time limit', { functionTimeout: 5 }, false],
];
for (const [what, spec, same] of CHANGES)
  test(`a change of ${what} is ${same ? 'no' : 'a'} new version`, () =>
    assert.equal(isSame(version(1), fn(spec), DIGEST), same));

test('other code under the same name is a new version', () => {
  assert.equal(isSame(version(1), fn(), `sha256:${'b'.repeat(64)}`), false);
});

test('the digest is of the archive as its user knows it, the deployment archive first', () => {
  const pkg = (spec: Package['spec'], contentHash = ''): Package =>
    ({ metadata: { name: 'p' }, spec, status: { contentHash } }) as Package;
  const oci = { image: 'r/i', digest: DIGEST };
  assert.equal(packageDigest(pkg({ deployment: { oci } })), DIGEST);
  assert.equal(packageDigest(pkg({ deployment: { url: 'x', checksum: { sum: 'ab' } } })), 'sha256:ab');
  assert.match(packageDigest(pkg({ source: { literal: 'aGk=' } })) ?? '', /^sha256:8f434346648f6b96/);
  assert.equal(packageDigest(pkg({ deployment: { url: 'x' } }, 'sha256:store')), 'sha256:store');
});

test('a package counts when its status is of what it is now', () => {
  const pkg = (generation: number, buildstatus: string) =>
    ({
      metadata: { name: 'p', generation },
      spec: {},
      status: {
        buildstatus,
        conditions: [{ type: 'Ready', status: 'True', reason: 'R', message: '', observedGeneration: 2 }],
      },
    }) as unknown as Package;
  assert.deepEqual([pkg(2, 'none'), pkg(2, 'succeeded'), pkg(2, 'pending'), pkg(3, 'none')].map(isBuilt), [
    true,
    true,
    false,
    false,
  ]);
});

test('versions of another function of the same name are not its own', () => {
  const other = version(9);
  other.spec.functionUID = 'former';
  const names = versionsOf([version(2), other, version(1)], fn()).map(({ metadata }) => metadata.name);
  assert.deepEqual(names, ['f-v1', 'f-v2']);
});

test('the newest are kept, at least one, and what an alias has in any way', () => {
  const versions = [1, 2, 3, 4, 5, 6].map((sequence) => version(sequence));
  const alias = (spec: Partial<FunctionAlias['spec']>, resolvedVersion?: string) =>
    ({ metadata: { name: 'a' }, spec, status: { resolvedVersion } }) as FunctionAlias;
  const aliases = [alias({ version: 'f-v1', secondaryVersion: 'f-v2' }), alias({}, 'f-v3')];
  const gone = (retain: number | undefined, of: FunctionAlias[] = []) =>
    outdated(versions, of, retain).map(({ spec }) => spec.sequence);
  assert.deepEqual(gone(2), [1, 2, 3, 4]);
  assert.deepEqual(gone(2, aliases), [4]);
  assert.deepEqual(gone(0), [1, 2, 3, 4, 5]);
  assert.deepEqual(gone(undefined), []);
});
