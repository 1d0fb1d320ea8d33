/** A heavy Python function is imported once, and its instances are forked from there; what a Function and a Runtime say of it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { conditionOf } from '../../src/kinds/conditions.ts';
import { FUNCTION_LABELS, type PetrelFunction, type Runtime } from '../../src/kinds/function.ts';
import { NODE_ANNOTATIONS, type Pod } from '../../src/kinds/pod.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { FUNCTIONS, PODS, RUNTIMES } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
let client: KubeClient & { close(): void };
/** Why nothing is forked here. */
let why: string | undefined;

/** Says when, and by whom, it was imported. */
const CODE = `import time
time.sleep(0.1)
IMPORTED = time.time()

def handler(request):
    import random
    with open("/proc/self/cmdline") as command:
        return {"imported": IMPORTED, "random": random.random(), "command": command.read()}
`;

before(async () => {
  platform = await petrel.up();
  client = await petrel.api();
  scratch.write({ 'heavy/main.py': CODE });
  await petrel.deploy(scratch.path('heavy'));
  const condition = await eventually('the Runtime says whether its instances are forked', async () =>
    conditionOf(await client.get<Runtime>(RUNTIMES, undefined, 'python'), 'ZygoteReady'),
  );
  if (condition.status !== 'True') why = condition.message;
  // Without control groups only generic instances are forked.
  else if (process.getuid?.() !== 0) why = 'without root';
});
after(async () => {
  client.close();
  await petrel.stop();
  scratch.dispose();
});

const part = async (name: string) =>
  (await client.list<Pod>(PODS, { labelSelector: `${FUNCTION_LABELS.pool}=${name}` })).items;
const isReady = (pod: Pod | undefined) =>
  pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
const ask = async () => {
  const answer = await call(platform.gateway, '/fn/default/heavy/');
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body) as { imported: number; random: number; command: string };
};
/** From zero: what has answered so far is gone. */
async function fresh() {
  for (const { metadata } of await part('specialised'))
    await client.delete(PODS, 'default', metadata.name, { gracePeriodSeconds: 0 });
  await eventually('the instances are gone', async () => (await part('specialised')).length === 0);
  const answer = await ask();
  await eventually('its Pod says whose it is', async () => (await part('specialised')).length > 0);
  return answer;
}

test('instances of heavy code are forked with it imported', async (t) => {
  if (why) return t.skip(why);
  await eventually('an instance stands by', async () => isReady((await part('standby'))[0]));
  const one = await fresh();
  await eventually('the next stands by', async () => isReady((await part('standby'))[0]));
  const other = await fresh();
  assert.equal(one.imported, other.imported);
  assert.notEqual(one.random, other.random);
  assert.match(one.command, /zygote\.py/);
});

test('a Function that wants no forking has Pods of its own, which say so', async () => {
  const found = await client.get<PetrelFunction>(FUNCTIONS, 'default', 'heavy');
  const annotations = { ...found.metadata.annotations, [NODE_ANNOTATIONS.zygote]: 'off' };
  await client.update(FUNCTIONS, { ...found, metadata: { ...found.metadata, annotations } });
  const pod = await eventually('such a Pod', async () => {
    await ask();
    return (await part('specialised')).find(
      ({ metadata }) => metadata.annotations?.[NODE_ANNOTATIONS.zygote] === 'off',
    );
  });
  assert.equal(pod.metadata.labels?.[FUNCTION_LABELS.function], 'heavy');
  await eventually('the new revision answers', async () => /supervisor\.py/.test((await ask()).command));
});
