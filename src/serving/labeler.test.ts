import assert from 'node:assert/strict';
import test from 'node:test';
import type { KubeObject } from '../kinds/object.ts';
import { routingPatch } from './labeler.ts';
import { LABELS } from './names.ts';

test('a Route is added to and taken from the marks of an object', () => {
  const now = Date.parse('2026-06-01T00:00:00Z');
  const object = (routes: string | undefined, state: string | undefined): KubeObject => ({
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: {
      name: 'r',
      labels: (state ? { [LABELS.routingState]: state } : {}) as Record<string, string>,
      annotations: (routes ? { [LABELS.routes]: routes } : {}) as Record<string, string>,
    },
  });
  const modified = { [LABELS.routingStateModified]: '2026-06-01T00:00:00Z' };
  const table: [string | undefined, string | undefined, boolean, boolean, object | undefined][] = [
    [
      undefined,
      'pending',
      true,
      false,
      { annotations: { [LABELS.routes]: 'b', ...modified }, labels: { [LABELS.routingState]: 'active' } },
    ],
    ['b', 'active', true, false, undefined],
    ['a,c', 'active', true, false, { annotations: { [LABELS.routes]: 'a,b,c' } }],
    ['a,b', 'active', true, true, { annotations: { [LABELS.routes]: 'a' } }],
    [
      'b',
      'active',
      true,
      true,
      { annotations: { [LABELS.routes]: null, ...modified }, labels: { [LABELS.routingState]: 'reserve' } },
    ],
    // A Configuration has no state.
    ['b', undefined, false, true, { annotations: { [LABELS.routes]: null } }],
    [undefined, undefined, false, true, undefined],
  ];
  for (const [routes, label, state, remove, metadata] of table) {
    const patch = routingPatch(object(routes, label), 'b', { state, remove, now });
    assert.deepEqual(patch, metadata && { metadata }, `${routes} ${label} ${remove}`);
  }
});
