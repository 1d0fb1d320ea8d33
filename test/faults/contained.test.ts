/** What one function does to itself is held by its limits and told in its own objects; a neighbour under load notices nothing. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, type TestContext, test } from 'node:test';
import { conditionOf } from '../../src/kinds/conditions.ts';
import { FUNCTION_LABELS } from '../../src/kinds/function.ts';
import type { KubeObject } from '../../src/kinds/object.ts';
import type { Pod } from '../../src/kinds/pod.ts';
import { EVENTS, FUNCTIONS, PODS } from '../../src/kube/refs.ts';
import { Neighbour } from '../lib/neighbour.ts';
import { call, eventually, Petrel, processesNaming, Scratch, type Status } from '../lib/platform.ts';

/** Processes one container may have here: enough for a supervisor, soon reached by a bomb. */
const MAX_PROCESSES = 120;
/** What functions here may use that say nothing of memory. */
const USUAL_MIB = 192;
const MIB = 2 ** 20;

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
/** In the command line of every process that a bomb starts. */
const BOMB = `bomb-${scratch.dir.split('-').at(-1)}`;
let platform: Status;
let api: Awaited<ReturnType<Petrel['api']>>;
let neighbour: Neighbour;
let noLimits: string | false = false;

interface Told extends KubeObject {
  involvedObject: { kind: string; name: string };
  reason: string;
  message: string;
}

/** Does what its path says. */
const FAULTS = `
const { spawn } = require('node:child_process');
const { appendFileSync, readdirSync, readFileSync } = require('node:fs');
const kept = [];
const first = (...files) => {
  for (const file of files) try { return readFileSync(file, 'utf8').trim(); } catch {}
  return '';
};
const acts = {
  ok: () => 'ok',
  // The parent of what a zygote forks is outside of its pid namespace.
  how: () => process.ppid === 0 ? 'forked' : 'started',
  limit: () => first('/sys/fs/cgroup/memory/memory.limit_in_bytes', '/sys/fs/cgroup/memory.max'),
  tasks: () => first('/sys/fs/cgroup/pids/pids.max', '/sys/fs/cgroup/pids.max'),
  leak: () => { for (;;) kept.push(Buffer.alloc(4e6, 1)); },
  fill: () => { for (;;) appendFileSync('/tmp/full', Buffer.alloc(4e6, 1)); },
  left: () => 'left: ' + readdirSync('/tmp').join(),
  shm: () => { try { for (let size = 0; ; size += 1e6) { kept.size = size; appendFileSync('/dev/shm/full', Buffer.alloc(1e6, 1)); } } catch (error) { return error.code + ' ' + kept.size; } },
  spin: () => { for (;;); },
  never: () => new Promise(() => {}),
  async bomb() {
    let refused = 0;
    for (let i = 0; i < 300; i++) {
      const child = spawn('/bin/sh', ['-c', 'sleep 1000; :', '${BOMB}'], { stdio: 'ignore', detached: true });
      child.on('error', () => {});
      if (child.pid === undefined) refused++;
    }
    return String(refused);
  },
};
exports.fetch = async (request) => new Response(await acts[new URL(request.url).pathname.slice(1)]());
`;

const at = (name: string, path: string, timeoutMs = 60_000) =>
  call(platform.gateway, path, { host: `${name}.default.localhost`, timeoutMs });
const says = async (name: string, path: string) => {
  const { status, body } = await at(name, path);
  assert.equal(status, 200, body);
  return body;
};
const podsOf = async (name: string) =>
  (await api.list<Pod>(PODS, { namespace: 'default', labelSelector: `${FUNCTION_LABELS.function}=${name}` }))
    .items;
const eventsOf = async (kind: string, name: string) =>
  (await api.list<Told>(EVENTS, { namespace: 'default' })).items.filter(
    ({ involvedObject }) => involvedObject.kind === kind && involvedObject.name === name,
  );
/** It answers again, whatever has become of its instance. */
const recovers = (name: string) =>
  eventually(`${name} answers again`, async () => (await at(name, '/ok')).body === 'ok', 60_000);
const skipped = (t: TestContext) => {
  if (noLimits !== false) t.skip(noLimits);
  return noLimits !== false;
};

async function deployFaulty(name: string, ...options: string[]): Promise<void> {
  await petrel.deploy(scratch.path('faulty.js'), '--name', name, ...options);
  assert.equal(await says(name, '/ok'), 'ok');
}
/** The limits of an instance from a pool are set when it has become somebody's: nothing is tried before. */
const limited = (name: string, mib: number) =>
  eventually(`${name} has its limit`, async () => (await says(name, '/limit')) === String(mib * MIB));

before(async () => {
  scratch.write({
    'faulty.js': FAULTS,
    'stubborn.py':
      'import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(event, context):\n    return "here"\n',
    'deaf.sh': '#!/bin/sh\ntrap "" TERM\nwhile :; do sleep 0.2; done\n',
    'bomb.sh': `#!/bin/sh\nsetsid /bin/sh -c ': >/tmp/lit; b() { b & b & wait; }; b' ${BOMB} >/dev/null 2>&1 &\nuntil [ -e /tmp/lit ]; do sleep 0.02; done\necho lit\n`,
  });
  platform = await petrel.json<Status>(['up', '--detach', '--gateway', ':0', '--api', ':0'], {
    env: { PETREL_MAX_PROCESSES: String(MAX_PROCESSES), PETREL_FUNCTION_MEMORY: `${USUAL_MIB}Mi` },
  });
  api = await petrel.api();
  neighbour = await Neighbour.deploy(petrel, platform, scratch);
  const limits = await eventually('the node has said what it can', async () => {
    const [pod] = await podsOf(Neighbour.NAME);
    return pod && conditionOf(pod, 'petrel.dev/ResourceLimits');
  });
  if (limits.status !== 'True') noLimits = `${limits.reason}: ${limits.message}`;
  neighbour.load();
});
after(async () => {
  neighbour?.stop();
  api?.close();
  await petrel.stop();
  scratch.dispose();
});

/** Uids of its Pods. */
let stubborn: string[] = [];
test('what ignores SIGTERM is deleted, and has its time while others are tried', async () => {
  await petrel.deploy(scratch.path('stubborn.py'));
  assert.match((await at('stubborn', '/')).body, /here/);
  // A Pod of the pool is said to be the function's after the request that it was taken for.
  stubborn = await eventually('its Pod is known', async () => {
    const uids = (await podsOf('stubborn')).map(({ metadata }) => metadata.uid ?? '');
    return uids.length > 0 && uids;
  });
  assert.ok(stubborn.flatMap(processesNaming).length > 0);
  await petrel.run(['delete', 'stubborn']);
});

test('memory that leaks: the instance is ended, its Pod and its Function say so, and another life begins', async (t) => {
  if (skipped(t)) return;
  await deployFaulty('leaky', '--memory', '128Mi');
  await limited('leaky', 128);
  const failed = await at('leaky', '/leak');
  assert.equal(failed.status, 502, failed.body);
  await recovers('leaky');
  await eventually('the Pod says why', async () =>
    (await podsOf('leaky')).some(
      ({ status }) => status?.containerStatuses?.[0]?.lastState.terminated?.reason === 'OOMKilled',
    ),
  );
  const told = await eventually('the Function says why', async () =>
    (await eventsOf('Function', 'leaky')).find(({ reason }) => reason === 'OOMKilled'),
  );
  assert.match(
    told.message,
    /more memory than its limit of 128Mi and was ended.*petrel deploy leaky --memory/,
  );
  await limited('leaky', 128);
  const within = async () => {
    const fn = await api.get<KubeObject>(FUNCTIONS, 'default', 'leaky');
    assert.equal(conditionOf(fn, 'Ready')?.status, 'True');
    return conditionOf(fn, 'WithinMemory');
  };
  const condition = await eventually('its condition says so', within);
  assert.deepEqual([condition.status, condition.reason], ['False', 'OOMKilled']);
  assert.equal(condition.message, told.message);
  await deployFaulty('leaky', '--memory', '160Mi');
  await eventually('a change takes the condition away', async () => (await within()) === undefined);
});

test('a function that says nothing of memory has the limit of the platform, one that says 0 has none', async (t) => {
  if (skipped(t)) return;
  await deployFaulty('plain');
  await limited('plain', USUAL_MIB);
  assert.equal((await at('plain', '/leak')).status, 502);
  await recovers('plain');
  const told = await eventually('the Function says why', async () =>
    (await eventsOf('Function', 'plain')).find(({ reason }) => reason === 'OOMKilled'),
  );
  assert.match(told.message, /limit of 192Mi \(that of functions without one\)/);
  await deployFaulty('plain', '--memory', '0');
  await eventually('it has none', async () => !(Number(await says('plain', '/limit')) < 2 ** 40));
});

test('limits hold while the code is loaded, too', async (t) => {
  if (skipped(t)) return;
  // Little by little and not for ever: without a limit it would load.
  const greedy = `const all = [];
for (let i = 0; i < 150; i++) { all.push(Buffer.alloc(4e6, 1)); await new Promise((done) => setTimeout(done, 10)); }
export default { fetch: () => new Response(String(all.length)) };`;
  scratch.write({ 'greedy.mjs': greedy });
  const refused = await petrel.refused(['deploy', scratch.path('greedy.mjs'), '--memory', '128Mi']);
  assert.match(refused.message, /ended while it loaded the code/, JSON.stringify(refused));
});

test('a /tmp that is filled counts as memory and is empty in the next life; other scratch space is just full', async (t) => {
  if (skipped(t)) return;
  await deployFaulty('filler', '--memory', '256Mi');
  await limited('filler', 256);
  const [code, bytes = ''] = (await says('filler', '/shm')).split(' ');
  assert.equal(code, 'ENOSPC');
  assert.ok(Number(bytes) > MIB && Number(bytes) <= 64 * MIB, bytes);
  assert.equal(await says('filler', '/ok'), 'ok');
  assert.equal((await at('filler', '/fill')).status, 502);
  await recovers('filler');
  assert.doesNotMatch(await says('filler', '/left'), /[:,] ?full(,|$)/);
});

/** Waits for instances that are forked from a zygote, where the machine allows it: those started before it was ready are deleted. */
async function forkedOnly(): Promise<boolean> {
  const warm = async () =>
    (
      await api.list<Pod>(PODS, {
        namespace: 'default',
        labelSelector: `${FUNCTION_LABELS.runtime}=node,${FUNCTION_LABELS.pool}=generic`,
      })
    ).items;
  const log = () => readFileSync(`${petrel.home}/logs/platform.log`, 'utf8');
  const zygote = await eventually('the zygote of node is ready, or is not to be', async () => {
    if (/a zygote is given up/.test(log())) return 'none';
    return processesNaming('zygote.cjs').some((pid) => isOfThisPlatform(pid)) ? 'there' : undefined;
  });
  if (zygote === 'none') return false;
  for (let round = 0; round < 5; round++) {
    await deployFaulty('forked', '--env', `ROUND=${round}`);
    if ((await says('forked', '/how')) === 'forked') return true;
    for (const { metadata } of await warm())
      await api.delete(PODS, 'default', metadata.name, { gracePeriodSeconds: 0 } as never).catch(() => {});
    await eventually('the pool is full again', async () =>
      (await warm()).some(({ status }) => status?.phase === 'Running'),
    );
  }
  return false;
}
const isOfThisPlatform = (pid: number): boolean => {
  try {
    const parent = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(parent) === platform.pid;
  } catch {
    return false;
  }
};

test('an instance that was forked from a zygote has the same limits: memory, processes', async (t) => {
  if (skipped(t)) return;
  if (!(await forkedOnly())) return t.skip('instances are not forked from a zygote on this machine');
  await deployFaulty('forked', '--memory', '128Mi');
  await limited('forked', 128);
  assert.equal(await says('forked', '/tasks'), String(MAX_PROCESSES));
  const refused = Number(await says('forked', '/bomb'));
  assert.ok(refused >= 300 - MAX_PROCESSES, `only ${refused} of 300 were refused`);
  const started = processesNaming(BOMB).length;
  assert.ok(started > 0 && started <= MAX_PROCESSES, `${started} processes`);
  assert.equal((await at('forked', '/leak')).status, 502);
  await recovers('forked');
  await eventually('the bomb is gone with its instance', async () => processesNaming(BOMB).length === 0);
});

test('a fork bomb of a script that hides in a session of its own: held by its limit, gone with its Function', async (t) => {
  if (skipped(t)) return;
  await petrel.deploy(scratch.path('bomb.sh'), '--cpu', '500m');
  assert.match((await at('bomb', '/')).body, /lit/);
  await eventually('it has gone off', async () => processesNaming(BOMB).length > MAX_PROCESSES / 4);
  const most = Math.max(...Array.from({ length: 20 }, () => processesNaming(BOMB).length));
  assert.ok(most <= MAX_PROCESSES, `${most} processes`);
  await petrel.run(['delete', 'bomb']);
  await eventually('the bomb is gone', async () => processesNaming(BOMB).length === 0, 60_000);
});

test('one that never answers and one that never yields are 504 in time; then it answers again', async () => {
  await deployFaulty('silent', '--timeout', '1');
  for (const path of ['/never', '/spin']) {
    const { status, body } = await at('silent', path);
    assert.equal(status, 504, `${path}: ${body}`);
    await recovers('silent');
  }
});

test('a script that ignores SIGTERM is ended with its request, and the next one is answered in its turn', async () => {
  const mark = `${BOMB}-deaf`;
  await petrel.deploy(scratch.path('deaf.sh'), '--timeout', '2', '--env', `MARK=${mark}`);
  for (let turn = 0; turn < 2; turn++) {
    const answer = at('deaf', '/');
    await eventually('it runs', async () => processesNaming(mark).length > 0);
    assert.equal((await answer).status, 504);
  }
  await eventually('nothing of it runs', async () => processesNaming(mark).length === 0);
});

test('what ignores SIGTERM has ended', async () => {
  await eventually('its Pods are gone', async () => (await podsOf('stubborn')).length === 0, 60_000);
  assert.deepEqual(stubborn.flatMap(processesNaming), []);
});

test('the neighbour has noticed nothing of all this', async () => {
  await neighbour.noticedNothing();
});
