import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PetrelFunction } from '../../kinds/function.ts';
import { createLoop, type Round } from './loop.ts';

const fn: PetrelFunction = {
  apiVersion: 'petrel.dev/v1',
  kind: 'Function',
  metadata: { name: 'shop' },
  spec: { runtime: 'node', package: { digest: 'sha256:0' } },
};
const round = (ms: number): Round => ({ fn, changed: true, ms });

/** A deployer whose rounds end when the test says so. */
function byHand() {
  const open: { resolve(round: Round): void; reject(error: Error): void }[] = [];
  let superseded = 0;
  return {
    open,
    superseded: () => superseded,
    deployer: {
      deploy: () => new Promise<Round>((resolve, reject) => open.push({ resolve, reject })),
      supersede: () => void superseded++,
    },
  };
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('changes during a round end its build, and are one round after it', async () => {
  const { open, superseded, deployer } = byHand();
  const told: (number | string)[] = [];
  const loop = createLoop(
    deployer,
    ({ ms }) => told.push(ms),
    (error) => told.push((error as Error).message),
  );
  const over = loop.round();
  assert.equal(superseded(), 0);
  void loop.round();
  void loop.round();
  assert.equal(superseded(), 2);
  open[0]?.reject(new Error('its build was ended'));
  await turn();
  assert.equal(open.length, 2);
  assert.deepEqual(told, []);
  open[1]?.resolve(round(2));
  await over;
  assert.deepEqual(told, [2]);
  void loop.round();
  assert.equal(open.length, 3);
});

test('a mistake is told when nothing has come since', async () => {
  const { open, deployer } = byHand();
  const told: string[] = [];
  const loop = createLoop(
    deployer,
    () => {},
    (error) => told.push((error as Error).message),
  );
  const over = loop.round();
  open[0]?.reject(new Error('SyntaxError'));
  await over;
  assert.deepEqual(told, ['SyntaxError']);
});
