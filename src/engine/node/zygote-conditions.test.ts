import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { conditionOf } from '../../kinds/conditions.ts';
import type { Runtime } from '../../kinds/function.ts';
import type { Condition } from '../../kinds/object.ts';
import { RUNTIMES } from '../../kube/refs.ts';
import { createTestCluster, type TestCluster } from './testing.ts';
import { zygoteCondition } from './zygote-conditions.ts';

const forking = { available: true, reason: 'Forking', message: 'forked' };
const trouble = { available: false, reason: 'GivenUp', message: 'started' };

test('one tenant in trouble is told of, by name where there are others', () => {
  const of = (states: [string, typeof forking][]) => zygoteCondition(new Map(states));
  const type = 'ZygoteReady';
  assert.deepEqual(of([['a', forking]]), { type, status: 'True', reason: 'Forking', message: 'forked' });
  assert.deepEqual(of([['a', trouble]]), { type, status: 'False', reason: 'GivenUp', message: 'started' });
  assert.deepEqual(
    of([
      ['a', forking],
      ['b', trouble],
    ]),
    { type, status: 'False', reason: 'GivenUp', message: 'in namespace b started' },
  );
});

const READY: Condition = { type: 'Ready', status: 'True' };

/** A new runtime whose zygote ends at once, and what it says of itself once instances of it are wanted. */
async function conditionIn(cluster: TestCluster, round: string): Promise<Condition> {
  const dir = join(cluster.runtimesDir, round);
  mkdirSync(dir, { recursive: true });
  writeFileSync(
    join(dir, 'main.cjs'),
    `require('node:net').createServer().listen(process.env.PETREL_SOCKET);`,
  );
  writeFileSync(join(dir, 'zygote.cjs'), `console.error('no luck'); process.exit(3);`);
  const made: Runtime = {
    apiVersion: 'petrel.dev/v1',
    kind: 'Runtime',
    metadata: { name: round },
    spec: {
      language: 'demo',
      extensions: ['.demo'],
      command: ['$(NODE)', '$(RUNTIME_DIR)/main.cjs'],
      zygote: { command: ['$(NODE)', '$(RUNTIME_DIR)/zygote.cjs'] },
    },
  };
  const found = await cluster.client.create<Runtime>(RUNTIMES, made);
  await cluster.client.updateStatus<Runtime>(RUNTIMES, { ...found, status: { conditions: [READY] } });
  for (let count = 0; count < 60; count++) {
    const name = `${round}-${count}`;
    await cluster.run(name, { containers: [{ image: `petrel.dev/runtime/${round}` }] });
    await cluster.until(name, (pod) => conditionOf(pod as never, 'Ready')?.status === 'True');
    const runtime = await cluster.client.get<Runtime>(RUNTIMES, undefined, round);
    const condition = conditionOf(runtime, 'ZygoteReady');
    assert.equal(conditionOf(runtime, 'Ready')?.status, 'True');
    if (condition !== undefined) return condition;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error('there is no such condition');
}

test('a Runtime says that its instances are started, and why', async (t) => {
  const cluster = await createTestCluster({ sandbox: 'plain' });
  t.after(() => cluster.close());
  const plain = await conditionIn(cluster, 'plain');
  assert.equal(plain.status, 'False');
  assert.equal(plain.reason, 'SwitchedOff');
  assert.match(plain.message ?? '', /started instead of being forked: .*PETREL_SANDBOX/);
  await cluster.restartAgent({ zygotes: false });
  const off = await conditionIn(cluster, 'off');
  assert.match(off.message ?? '', /started instead of being forked: PETREL_ZYGOTE is off/);
});

test('a Runtime says that forking was given up, and why', async (t) => {
  const cluster = await createTestCluster({ zygotes: true });
  t.after(() => cluster.close());
  const given = await conditionIn(cluster, 'given');
  assert.equal(given.status, 'False');
  if (given.reason !== 'GivenUp') return t.skip(given.message);
  assert.match(given.message ?? '', /started instead of being forked: .*exit code 3: no luck/);
});
