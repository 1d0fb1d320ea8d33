import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentLogger } from '../../../base/log.ts';
import { createGoneLogs, GONE_LIMITS } from './gone.ts';
import { createLogStore } from './store.ts';

const base = mkdtempSync(join(tmpdir(), 'petrel-gone-'));
after(() => rmSync(base, { recursive: true, force: true }));
let homes = 0;
const START = Date.parse('2026-01-02T03:04:05.678Z');

const home = (limits: Parameters<typeof createGoneLogs>[0]['limits'] = {}) => {
  const dir = join(base, String(homes++));
  let time = START;
  const make = () => createGoneLogs({ dir: join(dir, 'gone'), now: () => time, limits });
  return {
    dir,
    make,
    gone: make(),
    pass: (ms: number) => {
      time += ms;
    },
    /** A Pod's directory of logs. */
    pod(name: string, files: Record<string, string>) {
      const path = join(dir, 'pods', name);
      for (const [file, text] of Object.entries(files)) {
        mkdirSync(join(path, 'c'), { recursive: true });
        writeFileSync(join(path, 'c', file), text);
      }
      return path;
    },
  };
};
const owner = (pod: string, group = 'service_hello') => ({
  namespace: 'default',
  group,
  revision: 'hello-00001',
  pod,
  uid: `${pod}-uid`,
});

test('what an instance said is there when it is gone, also after a restart of the platform', async () => {
  const { gone, make, pod, pass } = home();
  const a = pod('a', { '0.log': 'zero', '1.log': 'one', '1.log.1': 'before' });
  for (const [file, at] of [
    ['0.log', -2000],
    ['1.log', -1000],
    ['1.log.1', -5000],
  ] as const)
    utimesSync(join(a, 'c', file), new Date(START + at), new Date(START + at));
  await gone.keep(a, owner('a'));
  pass(5);
  await gone.keep(pod('b', { '0.log': 'b' }), owner('b'));
  await gone.keep(pod('x', { '0.log': 'x' }), owner('x', 'service_other'));
  await gone.keep(pod('silent', {}), owner('silent'));
  for (const each of [gone, make()]) {
    const runs = await each.list('default', 'service_hello');
    assert.deepEqual(
      runs.map(({ pod: name, run, endedAt, revision }) => [name, run, endedAt - START, revision]),
      [
        ['a', 0, -2000, 'hello-00001'],
        ['a', 1, -1000, 'hello-00001'],
        ['b', 0, 5, 'hello-00001'],
      ],
    );
    const { id } = runs[1]!;
    const path = each.find('default', 'service_hello', id, 'c', 1);
    assert.equal(readFileSync(path!, 'utf8'), 'one');
    assert.equal(each.find('default', 'service_other', id, 'c', 1), undefined);
    assert.equal(each.find('default', 'service_hello', `../service_hello/${id}`, 'c', 1), undefined);
  }
});

test('runs of a Pod that lives on are taken over one by one', async () => {
  const dir = join(base, String(homes++));
  let time = START;
  const store = createLogStore({
    dir: join(dir, 'pods'),
    goneDir: join(dir, 'gone'),
    now: () => time++,
    log: silentLogger,
  });
  const who = { namespace: 'default', pod: 'p', uid: 'u' };
  const of = { group: 'service_hello', revision: 'r' };
  for (let run = 0; run < 4; run++) {
    const writer = store.begin({ ...who, container: 'c' }, run, of);
    writer.write('stderr', Buffer.from(`crash ${run}\n`));
    await writer.close();
  }
  const runs = async () => (await store.gone.list('default', 'service_hello')).map(({ run }) => run);
  assert.deepEqual(await runs(), [0, 1]);
  await store.release(who, of);
  assert.deepEqual(await runs(), [0, 1, 2, 3]);
  assert.deepEqual(readdirSync(join(dir, 'pods')), []);
  const kept = join(dir, 'gone', 'default', 'service_hello');
  assert.equal(statSync(kept).mode & 0o777, 0o700);
  const file = readdirSync(kept, { recursive: true, encoding: 'utf8' }).find((name) =>
    name.endsWith('3.log'),
  );
  assert.equal(statSync(join(kept, file!)).mode & 0o777, 0o600);
});

test('a function keeps so many, so much and so long, and takes nothing from others', async () => {
  const { gone, pod, pass, dir } = home({ perGroup: { instances: 3, bytes: 250 } });
  await gone.keep(pod('other', { '0.log': 'other' }), owner('other', 'service_other'));
  const names = async (group = 'service_hello') => (await gone.list('default', group)).map((run) => run.pod);
  for (const name of ['a', 'b', 'c', 'd']) {
    pass(1000);
    await gone.keep(pod(name, { '0.log': name }), owner(name));
  }
  assert.deepEqual(await names(), ['b', 'c', 'd']);
  pass(1000);
  await gone.keep(
    pod('large', { '0.log': 'l'.repeat(100), '0.log.1': 'l'.repeat(149), '0.log.2': 'l' }),
    owner('large'),
  );
  assert.deepEqual(await names(), ['large'], 'the newest stay within the bytes');
  pass(1000);
  await gone.keep(pod('huge', { '0.log': 'h'.repeat(300), '0.log.1': 'h'.repeat(300) }), owner('huge'));
  assert.deepEqual(await names(), ['huge']);
  assert.equal(readdirSync(join(dir, 'gone', 'default', 'service_hello')).length, 1);
  assert.deepEqual(await names('service_other'), ['other']);
  pass(GONE_LIMITS.maxAgeMs + 1);
  assert.deepEqual(await names(), []);
  await gone.prune();
  assert.equal(existsSync(join(dir, 'gone', 'default', 'service_hello')), false);
});

test('all together keep so much, the oldest go first', async () => {
  const { gone, pod, pass } = home({ total: { instances: 2, bytes: 1000 } });
  for (const name of ['a', 'b', 'c']) {
    pass(1);
    await gone.keep(pod(name, { '0.log': name }), owner(name, `service_${name}`));
  }
  const left = await Promise.all(['a', 'b', 'c'].map((name) => gone.list('default', `service_${name}`)));
  assert.deepEqual(
    left.map((runs) => runs.length),
    [0, 1, 1],
  );
});
