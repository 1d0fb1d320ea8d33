/** Builds that do what they should not: ended by their limits, told on the Function, and neither the platform nor a neighbour notices. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { conditionOf } from '../../src/kinds/conditions.ts';
import type { PetrelFunction } from '../../src/kinds/function.ts';
import type { Pod } from '../../src/kinds/pod.ts';
import { FUNCTIONS, PODS } from '../../src/kube/refs.ts';
import { Neighbour } from '../lib/neighbour.ts';
import { eventually, Petrel, processesNaming, Scratch, type Status } from '../lib/platform.ts';

const MIB = 2 ** 20;
const MAX_PROCESSES = 150;
/** Of output in the build that says too much, bytes, and what the platform may grow by in passing it on: its millions of lines would take twice as much. */
const SPOKEN = 150_000_000;
const GROWTH = 256 * MIB;

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
/** In the command line of whatever a build here leaves behind. */
const MARK = `left-${scratch.dir.split('-').at(-1)}`;
const MAKES = `echo "module.exports = 'made'" > made.js`;
let platform: Status;
let api: Awaited<ReturnType<Petrel['api']>>;
let neighbour: Neighbour;
let sandboxed: string | true = true;
let limited: string | true = true;

before(async () => {
  platform = await petrel.json<Status>(['up', '--detach', '--gateway', ':0', '--api', ':0'], {
    env: {
      PETREL_MAX_PROCESSES: String(MAX_PROCESSES),
      PETREL_BUILD_DISK: String(1024 * MIB),
      PETREL_BUILD_MEMORY: String(384 * MIB),
    },
  });
  api = await petrel.api();
  neighbour = await Neighbour.deploy(petrel, platform, scratch);
  const pod = await eventually('the node has said what it can', async () => {
    const { items } = await api.list<Pod>(PODS, { namespace: 'default' });
    return items.find((each) => conditionOf(each, 'petrel.dev/ResourceLimits'));
  });
  const able = (type: string): string | true => {
    const condition = conditionOf(pod, type);
    return condition?.status === 'True' || `${condition?.reason}: ${condition?.message}`;
  };
  sandboxed = able('petrel.dev/Sandboxed');
  limited = able('petrel.dev/ResourceLimits');
  neighbour.load();
});
after(async () => {
  neighbour?.stop();
  api?.close();
  await petrel.stop();
  scratch.dispose();
});

interface Fault {
  what: string;
  name: string;
  command: string;
  options?: string[];
  /** What the machine must be able to do. */
  needs?: 'sandbox' | 'limits';
  /** Absent: it succeeds. */
  says?: RegExp;
}

const FAULTS: Fault[] = [
  {
    what: 'leaves a daemon behind that holds its output open',
    name: 'daemon',
    command: `${MAKES}; setsid sh -c 'echo up >$TMPDIR/up; sleep 1000; :' ${MARK} & until [ -s $TMPDIR/up ]; do sleep 0.02; done`,
    options: ['--build-timeout', '100'],
    needs: 'sandbox',
  },
  {
    what: 'never ends, ignores SIGTERM, and hides in a session of its own',
    name: 'endless',
    command: `trap '' TERM; setsid sh -c 'trap "" TERM; echo hidden; while :; do sleep 1; done' ${MARK} & while :; do sleep 1; done`,
    options: ['--build-timeout', '1'],
    needs: 'sandbox',
    says: /hidden.*did not end within 1 s/s,
  },
  {
    what: 'fills the disk',
    name: 'hog',
    command: 'echo began; fallocate -l 3G big || head -c 3000000000 /dev/zero >big; sleep 1000',
    says: /began.*wrote more than 1024 MiB/s,
  },
  {
    what: 'is a fork bomb',
    name: 'bomb',
    command: `echo lit; sh -c 'b() { b & b & wait; }; b' ${MARK}; exit 7`,
    options: ['--build-timeout', '2'],
    needs: 'limits',
    // By itself where forks that fail end it, otherwise by its time.
    says: /lit.*(fork|did not end within)/s,
  },
  {
    what: 'uses more memory than it may',
    name: 'greedy',
    command: 'echo hungry; tail /dev/zero',
    needs: 'limits',
    says: /hungry.*more memory than it may.*PETREL_BUILD_MEMORY/s,
  },
  {
    what: 'succeeds and leaves nothing',
    name: 'nothing',
    command: 'rm -rf ./* ; exit 0',
    says: /no package.*no file to package/s,
  },
  {
    what: 'fails and says nothing',
    name: 'mute',
    command: 'exit 3',
    says: /exit code 3 and said nothing/,
  },
  {
    what: 'makes a link out of its package',
    name: 'sneak',
    command: `${MAKES}; ln -s /etc/passwd stolen`,
    says: /"?stolen"? .*link/s,
  },
];

const conditionOfBuild = async (name: string) =>
  conditionOf(await api.get<PetrelFunction>(FUNCTIONS, 'default', name), 'BuildSucceeded');

test('a build that …', async (t) => {
  for (const { what, name, command, options = [], needs, says } of FAULTS) {
    await t.test(`… ${what}`, async (inner) => {
      if (needs === 'sandbox' && sandboxed !== true) return inner.skip(sandboxed);
      if (needs === 'limits' && limited !== true) return inner.skip(limited);
      scratch.write({
        [`${name}/index.js`]: `exports.fetch = async () => new Response(require('./made.js')); // ${name}`,
      });
      const args = ['deploy', scratch.path(name), '--build-command', command, ...options];
      if (says === undefined) {
        const { code, stderr } = await petrel.run(args);
        assert.equal(code, 0, stderr + petrel.log());
        assert.equal((await conditionOfBuild(name))?.status, 'True');
      } else {
        const refused = await petrel.refused(args);
        assert.equal(refused.code, 'BuildFailed', JSON.stringify(refused));
        const condition = await conditionOfBuild(name);
        assert.equal(condition?.status, 'False');
        assert.match(condition?.message ?? '', says);
      }
      await eventually('nothing of it runs', async () => processesNaming(MARK).length === 0);
    });
  }
});

/** Resident memory of the platform, bytes. */
const resident = () =>
  Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${platform.pid}/status`, 'utf8'))?.[1]) * 1024;

test(`a build that prints ${SPOKEN / 1e6} MB: neither log nor memory nor the answer grows with it`, async () => {
  scratch.write({ 'talker/index.js': 'exports.fetch = async () => new Response(require("./made.js"));' });
  const before = resident();
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, resident());
  }, 20);
  const command = `yes 0123456789012345678901234567890123456789 | head -c ${SPOKEN}; exit 9`;
  await petrel.run(['deploy', scratch.path('talker'), '--no-wait', '--build-command', command]);
  const condition = await eventually(
    'it has failed',
    async () => {
      const found = await conditionOfBuild('talker');
      return found?.status === 'False' && found;
    },
    60_000,
  ).finally(() => clearInterval(watch));
  assert.ok((condition.message ?? '').length <= 4096);
  assert.ok(most - before < GROWTH, `${Math.round((most - before) / MIB)} MiB of memory`);
  const logs = join(petrel.home, 'logs');
  let bytes = 0;
  for (const name of readdirSync(logs, { recursive: true, encoding: 'utf8' }))
    bytes += statSync(join(logs, name), { throwIfNoEntry: false })?.size ?? 0;
  assert.ok(bytes < 64 * MIB, `${bytes} bytes of logs`);
});

test('the workspaces of all that have gone, and the neighbour has noticed nothing', async () => {
  await neighbour.noticedNothing();
  const big = readdirSync(petrel.home, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('/big'),
  );
  assert.deepEqual(big, []);
});
