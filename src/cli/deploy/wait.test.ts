import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import type { Condition } from '../../kinds/object.ts';
import { FUNCTIONS } from '../../kube/refs.ts';
import { createClient } from '../../kube/rest.ts';
import { createFakeApi } from '../../kube/testing.ts';
import { untilReady } from './wait.ts';

async function deployed() {
  const api = createFakeApi();
  const client = createClient(api);
  const fn = await client.create<PetrelFunction>(FUNCTIONS, {
    apiVersion: 'petrel.dev/v1',
    kind: 'Function',
    metadata: { name: 'hello', namespace: 'default' },
    spec: { runtime: 'node', package: { digest: 'sha256:1' } },
  });
  const report = async (
    ready: Partial<Condition>,
    observedGeneration = fn.metadata.generation,
    latestReadyRevisionName?: string,
  ) => {
    const current = await client.get<PetrelFunction>(FUNCTIONS, 'default', 'hello');
    const conditions: Condition[] = [{ type: 'Ready', status: 'Unknown', ...ready }];
    await client.updateStatus(FUNCTIONS, {
      ...current,
      status: { observedGeneration, conditions, latestReadyRevisionName },
    });
  };
  return { api, client, fn, report };
}

const failure = (code: string, text: RegExp) => (error: unknown) =>
  error instanceof PetrelError && error.code === code && text.test(`${error.message}\n${error.why}`);

test('resolves when Ready, not before, and not for the Ready of an older generation', async () => {
  const { client, fn, report } = await deployed();
  const waiting = untilReady(client, fn);
  await report({ status: 'True' }, (fn.metadata.generation ?? 1) - 1);
  await report({ status: 'Unknown' });
  await report({ status: 'True' });
  assert.equal((await waiting).status?.observedGeneration, fn.metadata.generation);
});

test('goes on when the watch ends', async () => {
  const { api, client, fn, report } = await deployed();
  const waiting = untilReady(client, fn);
  await report({ status: 'Unknown', message: 'on its way' });
  api.endWatches();
  await report({ status: 'True' });
  await waiting;
});

test('a load error is passed on as it is, with what goes on serving', async () => {
  const { client, report } = await deployed();
  const text = "SyntaxError: Unexpected token '}'\n    at hello.ts:3:7";
  await report({ status: 'False', reason: 'LoadError', message: text }, undefined, 'hello-00001');
  const newest = await client.get<PetrelFunction>(FUNCTIONS, 'default', 'hello');
  await assert.rejects(
    untilReady(client, newest),
    (error) =>
      error instanceof PetrelError &&
      error.code === 'LoadError' &&
      error.message === text &&
      /hello-00001 goes on/.test(error.why),
  );
});

for (const [spec, message, fix] of [
  [{ handler: 'main' }, 'hello.ts has no function named main: it exports default.', /--handler ''/],
  [{}, "Error: Cannot find package 'petrel' imported from hello.ts", /--state own/],
  [{}, "ModuleNotFoundError: No module named 'petrel'", /--state own/],
  [{ state: {} }, "Error: Cannot find package 'petrel' imported from hello.ts", /correct the source/],
  [{ handler: 'main' }, 'SyntaxError: hello.ts:1', /correct the source/],
] as const) {
  test(`the way out of "${message}" with ${JSON.stringify(spec)}`, async () => {
    const { client, report } = await deployed();
    await report({ status: 'False', reason: 'load_error', message });
    const newest = await client.get<PetrelFunction>(FUNCTIONS, 'default', 'hello');
    await assert.rejects(
      untilReady(client, { ...newest, spec: { ...newest.spec, ...spec } }),
      (error) => error instanceof PetrelError && fix.test(error.fix),
    );
  });
}

for (const [reason, code] of [
  ['NotOwned', 'NameTaken'],
  ['load_error', 'LoadError'],
  ['HandlerNotFound', 'LoadError'],
  ['EntryNotFound', 'LoadError'],
  ['RevisionFailed', 'NotReady'],
] as const) {
  test(`Ready False because of ${reason} is ${code}`, async () => {
    const { client, fn, report } = await deployed();
    const waiting = untilReady(client, fn);
    await Promise.all([
      assert.rejects(waiting, failure(code, /the message/)),
      report({ status: 'False', reason, message: 'the message' }),
    ]);
  });
}

test('a deletion and another deploy end the wait', async () => {
  const first = await deployed();
  const deleted = assert.rejects(untilReady(first.client, first.fn), failure('Conflict', /deleted/));
  await first.client.delete(FUNCTIONS, 'default', 'hello');
  await deleted;
  const second = await deployed();
  const again = assert.rejects(untilReady(second.client, second.fn), failure('Conflict', /deployed again/));
  await second.client.update(FUNCTIONS, { ...second.fn, spec: { ...second.fn.spec, entry: 'other.ts' } });
  await again;
});

test('gives up in the end, with the last word of the controllers', async () => {
  const { client, fn, report } = await deployed();
  await report({ status: 'Unknown', reason: 'Deploying', message: 'no node' });
  await assert.rejects(untilReady(client, fn, { limitMs: 50 }), failure('Timeout', /Deploying: no node/));
});
