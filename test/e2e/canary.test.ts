/** A canary on a real platform: a good version wins, a bad one loses, nobody else notices, and a restart in between changes nothing. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Service } from '../../src/kinds/serving.ts';
import { KSERVICES, TRAFFIC_POLICIES } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

interface View {
  rules: object | null;
  canary: {
    phase: string;
    revisionName?: string;
    stableRevisionName?: string;
    percent?: number;
    message?: string;
  } | null;
}

before(async () => {
  platform = await petrel.up();
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

const deploy = (version: string, status = 200) => {
  scratch.write({
    'web.ts': `export default { fetch: () => new Response('${version}', { status: ${status} }) };`,
  });
  return petrel.deploy(scratch.path('web.ts'));
};
const view = () => petrel.json<View>(['canary', 'web']);

/** Sends one request after the other until told to stop; resolves to how often each answer came. */
function load() {
  const counts = new Map<string, number>();
  let running = true;
  const done = (async () => {
    while (running) {
      const { status, body } = await call(platform.gateway, '/fn/default/web/');
      const key = `${body} ${status}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
  })();
  return {
    stop: () => {
      running = false;
      return done;
    },
  };
}

const reached = (phase: string, revisionName: string) =>
  eventually(`${revisionName} ${phase}`, async () => {
    const { canary } = await view();
    return canary?.phase === phase && canary.revisionName === revisionName ? canary : undefined;
  });

test('a good version takes the traffic step by step, and the Service is never not ready', async () => {
  await deploy('v1');
  await petrel.json(['canary', 'web', '--steps', '20,50', '--interval', '1s', '--min-requests', '5']);
  await reached('Idle', 'web-00001');
  const api = await petrel.api();
  const stop = new AbortController();
  const verdicts = new Set<string>();
  const shares = new Set<string>();
  const watching = (async () => {
    const events = api.watch<Service>(KSERVICES, { namespace: 'default', signal: stop.signal });
    for await (const event of events) {
      if (event.type === 'ERROR' || event.type === 'BOOKMARK') continue;
      const { status, spec } = event.object;
      verdicts.add(status?.conditions?.find(({ type }) => type === 'Ready')?.status ?? '');
      shares.add(
        (spec.traffic ?? []).map(({ revisionName, percent }) => `${revisionName}=${percent}`).join(' '),
      );
    }
  })().catch((error) => {
    if (!stop.signal.aborted) throw error;
  });
  const clients = load();
  await deploy('v2');
  const canary = await reached('Promoted', 'web-00002');
  const counts = await clients.stop();
  stop.abort();
  await watching;
  api.close();
  assert.equal(canary.percent, 100);
  assert.deepEqual([...counts.keys()].sort(), ['v1 200', 'v2 200']);
  assert.ok(!verdicts.has('False'), [...verdicts].join());
  for (const share of ['web-00001=80 web-00002=20', 'web-00001=50 web-00002=50', 'web-00002=100'])
    assert.ok(shares.has(share), `${share} is not among ${[...shares].join('; ')}`);
});

test('a version that fails gets no further than its first step', async () => {
  const clients = load();
  await deploy('v3', 500);
  const canary = await reached('RolledBack', 'web-00003');
  const counts = await clients.stop();
  assert.match(canary.message ?? '', /requests failed at 20 %, more than 1 %/);
  assert.equal(canary.stableRevisionName, 'web-00002');
  assert.ok((counts.get('v2 200') ?? 0) > (counts.get('v3 500') ?? 0));
  for (let i = 0; i < 20; i++) {
    assert.equal((await call(platform.gateway, '/fn/default/web/')).body, 'v2');
  }
  const { stdout } = await petrel.run(['describe', 'web']);
  assert.match(stdout, /Warning +CanaryRolledBack .*web-00003/);
});

test('a version that does not even load leaves the traffic alone and is told as rolled back', async () => {
  scratch.write({ 'web.ts': 'export default {' });
  await petrel.refused(['deploy', scratch.path('web.ts')]);
  const canary = await reached('RolledBack', 'web-00004');
  assert.match(canary.message ?? '', /web-00004 did not become ready/);
  assert.equal((await call(platform.gateway, '/fn/default/web/')).body, 'v2');
});

test('a restart in the middle: it goes on where it was', async () => {
  await petrel.json(['canary', 'web', '--interval', '2s']);
  await deploy('v5');
  await reached('Progressing', 'web-00005');
  await petrel.run(['down', '--now']);
  platform = await petrel.up();
  const clients = load();
  await reached('Promoted', 'web-00005');
  assert.deepEqual([...(await clients.stop()).keys()].sort(), ['v2 200', 'v5 200']);
});

test('deploy --canary: the first takes everything, the next begins small, and the policy goes with its function', async () => {
  const own = (text: string) => {
    scratch.write({ 'own.ts': `export default { fetch: () => new Response('${text}') };` });
    return petrel.deploy(scratch.path('own.ts'), '--canary');
  };
  const phase = async () => (await petrel.json<View>(['canary', 'own'])).canary;
  await own('1');
  await own('2');
  await eventually('5 %', async () => (await phase())?.percent === 5);
  const mine = await petrel.refused(['deploy', scratch.path('own.ts'), '--no-traffic']);
  assert.match(mine.fix, /petrel canary own --off/);
  await petrel.json(['delete', 'own']);
  const api = await petrel.api();
  await eventually('no policy', async () => {
    const { items } = await api.list(TRAFFIC_POLICIES, { namespace: 'default' });
    return !items.some(({ metadata }) => metadata.name === 'own');
  });
  api.close();
});

test('by hand: ended, and switched off', async () => {
  await petrel.json(['canary', 'web', '--interval', '1h']);
  await deploy('v6');
  await reached('Progressing', 'web-00006');
  await petrel.json(['canary', 'web', '--abort']);
  await reached('RolledBack', 'web-00006');
  assert.equal((await call(platform.gateway, '/fn/default/web/')).body, 'v5');
  const again = await petrel.refused(['canary', 'web', '--promote']);
  assert.match(again.message, /no canary of web is under way/);
  await deploy('v7');
  await reached('Progressing', 'web-00007');
  await petrel.json(['canary', 'web', '--promote']);
  await reached('Promoted', 'web-00007');
  assert.equal((await petrel.json<View>(['canary', 'web', '--off'])).rules, null);
  await eventually('the traffic follows the latest again', async () => {
    const { followsLatest } = await petrel.json<{ followsLatest: boolean }>(['traffic', 'web']);
    return followsLatest;
  });
  await deploy('v8');
  assert.equal((await call(platform.gateway, '/fn/default/web/')).body, 'v8');
});
