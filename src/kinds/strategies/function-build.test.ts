import assert from 'node:assert/strict';
import { test } from 'node:test';
import { validateBuild, validateRuntimeBuild } from './function-build.ts';

const fields = (build: object) => validateBuild(build).map(({ field }) => field);

test('a build that makes sense passes', () => {
  assert.deepEqual(
    fields({
      mode: 'always',
      command: 'make',
      env: [{ name: 'A', value: '1' }],
      timeoutSeconds: 60,
      image: 'localhost:5000/team/shop:1.2',
    }),
    [],
  );
  assert.deepEqual(fields(undefined as never), []);
});

const wrong: [object, string][] = [
  [{ mode: 'sometimes' }, 'spec.build.mode'],
  [{ command: ' ' }, 'spec.build.command'],
  [{ command: 'make', mode: 'never' }, 'spec.build.command'],
  [{ command: 'x'.repeat(40_000) }, 'spec.build.command'],
  [{ env: [{ name: 'PETREL_BUILD' }] }, 'spec.build.env[0].name'],
  [{ timeoutSeconds: 0 }, 'spec.build.timeoutSeconds'],
  [{ image: 'Not An Image' }, 'spec.build.image'],
];
for (const [build, field] of wrong)
  test(`refused: ${JSON.stringify(build).slice(0, 60)}`, () => assert.deepEqual(fields(build), [field]));

test('tools and markers of a Runtime', () => {
  const problems = validateRuntimeBuild({
    build: { command: [] },
    tools: [{ command: 'go', for: 'later' }],
    markers: ['a/b'],
  });
  assert.deepEqual(
    problems.map(({ field }) => field),
    ['spec.build.command', 'spec.tools[0].install', 'spec.tools[0].for', 'spec.markers[0]'],
  );
});
