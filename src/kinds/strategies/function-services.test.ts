import assert from 'node:assert/strict';
import { test } from 'node:test';
import { validateServices } from './function-services.ts';

const fields = (spec: object) => validateServices(spec).map(({ field }) => field);

test('what functions may ask of the platform', () => {
  assert.deepEqual(
    fields({
      invocation: {
        maxAttempts: 5,
        backoffSeconds: 0.5,
        jitter: 0,
        onSuccess: { function: 'next' },
        onFailure: { url: 'https://example.com/x' },
      },
      state: { keyspace: 'shared', maxValueBytes: 1024, defaultTtlSeconds: 0 },
      tool: { description: 'adds', name: 'math.add', inputSchema: { type: 'object' } },
    }),
    [],
  );
  assert.deepEqual(fields({}), []);
});

const REFUSED: [object, string][] = [
  [{ invocation: { maxAttempts: 0 } }, 'spec.invocation.maxAttempts'],
  [{ invocation: { maxAttempts: 1.5 } }, 'spec.invocation.maxAttempts'],
  [{ invocation: { backoffSeconds: -1 } }, 'spec.invocation.backoffSeconds'],
  [{ invocation: { jitter: 1.1 } }, 'spec.invocation.jitter'],
  [{ invocation: { maxAgeSeconds: 0 } }, 'spec.invocation.maxAgeSeconds'],
  [{ invocation: { onSuccess: {} } }, 'spec.invocation.onSuccess'],
  [{ invocation: { onSuccess: { function: 'a', url: 'http://b' } } }, 'spec.invocation.onSuccess'],
  [{ invocation: { onFailure: { function: 'A_b' } } }, 'spec.invocation.onFailure.function'],
  [{ invocation: { onFailure: { url: 'file:///etc/passwd' } } }, 'spec.invocation.onFailure.url'],
  [{ state: { keyspace: '../x' } }, 'spec.state.keyspace'],
  [{ state: { maxValueBytes: 1e9 } }, 'spec.state.maxValueBytes'],
  [{ state: { maxKeys: 0 } }, 'spec.state.maxKeys'],
  [{ tool: {} }, 'spec.tool.description'],
  [{ tool: { description: 'x'.repeat(5000) } }, 'spec.tool.description'],
  [{ tool: { description: 'x', name: 'has space' } }, 'spec.tool.name'],
  [{ tool: { description: 'x', inputSchema: [] } }, 'spec.tool.inputSchema'],
  [{ tool: { description: 'x', inputSchema: { type: 'string' } } }, 'spec.tool.inputSchema'],
];
for (const [spec, field] of REFUSED) {
  test(`refused: ${JSON.stringify(spec).slice(0, 70)}`, () => assert.deepEqual(fields(spec), [field]));
}
