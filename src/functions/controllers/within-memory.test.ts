import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PetrelFunction } from '../../kinds/function.ts';
import { withMemoryKill } from './within-memory.ts';

const fn = (generation: number, status?: PetrelFunction['status']): PetrelFunction => ({
  apiVersion: 'petrel.dev/v1',
  kind: 'Function',
  metadata: { name: 'f', namespace: 'default', generation },
  spec: { runtime: 'node', package: { digest: 'sha256:0' } },
  ...(status && { status }),
});

test('an end for memory is told beside the other conditions until the function is changed', () => {
  const ready = { type: 'Ready', status: 'True' as const };
  const before = fn(2, { observedGeneration: 2, conditions: [ready] });
  assert.equal(withMemoryKill(before, undefined, 0), before);
  const told = withMemoryKill(before, 'too much', 0);
  assert.deepEqual(
    told.status?.conditions?.map(({ type, reason, message }) => [type, reason, message]),
    [
      ['Ready', undefined, undefined],
      ['WithinMemory', 'OOMKilled', 'too much'],
    ],
  );
  assert.equal(withMemoryKill(told, undefined, 1), told);
  const [since] = told.status?.conditions?.slice(-1) ?? [];
  const again = withMemoryKill(told, 'even more', 60_000).status?.conditions?.at(-1);
  assert.deepEqual([again?.message, again?.lastTransitionTime], ['even more', since?.lastTransitionTime]);
  const changed = { ...told, metadata: { ...told.metadata, generation: 3 } };
  assert.deepEqual(withMemoryKill(changed, undefined, 2).status?.conditions, [ready]);
  assert.equal(withMemoryKill(fn(1), undefined, 0).status, undefined);
});
