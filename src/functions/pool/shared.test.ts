import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import type { Runtime } from '../../kinds/function.ts';
import { type InstanceChannel, InstanceGone } from '../instance-channel.ts';
import type { Member, MemberOwner, Members } from './members.ts';
import type { Pools } from './pools.ts';
import { createShares } from './shared.ts';

const RUNTIME: Runtime = {
  apiVersion: 'petrel.dev/v1',
  kind: 'Runtime',
  metadata: { name: 'isolate' },
  spec: { language: 'isolate', extensions: [], command: [], share: 2 },
};
const SIGNAL = new AbortController().signal;
const silent: MemberOwner = { warm() {}, cold() {}, gone() {} };

/** Pools that start a Pod whenever somebody asks, and what was said to each. */
function world() {
  const said: string[] = [];
  const discarded: string[] = [];
  const adopted: string[] = [];
  const hosts: Member[] = [];
  let answering = true;
  let warm = 0;
  const channelOf = (name: string): InstanceChannel => ({
    hello: { version: 1, runtime: 'isolate', language: '1', pid: 1, state: 'generic' },
    closed: new Promise(() => {}),
    async call(method, params) {
      said.push(`${name} ${method} ${JSON.stringify(params)}`);
      return {} as never;
    },
    async ping() {
      if (!answering) throw new InstanceGone('no answer', true);
    },
    close() {},
  });
  const pools = {
    async take(runtime: string, namespace: string) {
      const name = `p${hosts.length}`;
      const member: Member = {
        key: `${namespace}/${name}`,
        runtime,
        namespace,
        name,
        pod: {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name, namespace, uid: `u-${name}` },
          spec: { containers: [] },
        },
        owner: silent,
        channel: channelOf(name),
        port: 1,
      };
      hosts.push(member);
      return member;
    },
    warm: () => warm,
    adopt: (member: Member) => adopted.push(member.name),
  } as unknown as Pools;
  const members = {
    discard: (member: Member) => discarded.push(member.name),
    socket: (member: Member) => `/run/${member.pod?.metadata.uid}/i.sock`,
  } as unknown as Members;
  const shares = createShares({ members, pools, log: silentLogger });
  const take = (revision: string, namespace = 'default') => shares.take(RUNTIME, namespace, revision, SIGNAL);
  return {
    shares,
    take,
    said,
    discarded,
    adopted,
    hosts,
    hang: () => (answering = false),
    setWarm: (count: number) => (warm = count),
  };
}

test('functions share an instance until it is full; namespaces never do', async () => {
  const { shares, take, hosts } = world();
  const [a, b] = await Promise.all([take('a'), take('b')]);
  assert.equal(hosts.length, 1, 'all who wait for the first host get one');
  assert.deepEqual([a.pod?.metadata.uid, b.pod?.metadata.uid], ['u-p0.1', 'u-p0.2']);
  assert.deepEqual([shares.socket(a), shares.socket(b)], ['/run/u-p0/f1/i.sock', '/run/u-p0/f2/i.sock']);
  assert.equal((await take('c')).name, 'p1');
  assert.equal((await take('d', 'other')).name, 'p2');
});

test('a second instance of a revision is a second process', async () => {
  const { take } = world();
  assert.equal((await take('a')).name, 'p0');
  assert.equal((await take('a')).name, 'p1');
  assert.equal((await take('b')).name, 'p0');
});

test('calls are about a place in the instance, which is given back in the end', async () => {
  const { shares, take, said, adopted, discarded } = world();
  const [a, b] = [await take('a'), await take('b')];
  await a.channel?.call('specialise', { code: '/x' }, 1);
  await b.channel?.call('drain', { graceMs: 5 }, 1);
  shares.discard(a, 0);
  shares.discard(a, 0);
  assert.deepEqual(adopted, []);
  shares.discard(b, 0);
  assert.deepEqual(said, [
    'p0 release {}',
    'p0 lease {"code":"/x","slot":1}',
    'p0 drain-lease {"graceMs":5,"slot":2}',
    'p0 release {"slot":1}',
    'p0 release {"slot":2}',
  ]);
  assert.deepEqual(adopted, ['p0'], 'an empty one is warm again');
  assert.deepEqual(discarded, []);
});

test('what happens to an instance happens to all in it', async () => {
  const { take, hosts } = world();
  const heard: string[] = [];
  for (const name of ['a', 'b']) {
    const member = await take(name);
    member.owner = {
      warm: () => heard.push(`${name} warm`),
      cold: (reason) => heard.push(`${name} cold ${reason}`),
      gone: (reason) => heard.push(`${name} gone ${reason}`),
    };
  }
  const [host] = hosts as [Member];
  const { channel } = host;
  host.owner.cold('crash', false);
  host.channel = undefined;
  assert.equal((await take('c')).name, 'p1', 'nobody is put where nothing answers');
  host.channel = channel;
  host.owner.warm(channel as InstanceChannel);
  host.owner.gone('deleted');
  assert.deepEqual(heard, [
    'a cold crash',
    'b cold crash',
    'a warm',
    'b warm',
    'a gone deleted',
    'b gone deleted',
  ]);
});

test('an instance that does not answer one of its functions answers none', async () => {
  const { take, discarded, hang } = world();
  const [a, b] = [await take('a'), await take('b')];
  let lost = '';
  b.owner = { ...silent, gone: (reason) => (lost = reason) };
  hang();
  await assert.rejects(a.channel?.ping(1) as Promise<void>, InstanceGone);
  assert.equal(lost, 'no answer');
  assert.deepEqual(discarded, ['p0']);
  assert.equal((await take('c')).name, 'p1');
});

test('who gives up waiting is not waited for', async () => {
  const { shares } = world();
  const stop = new AbortController();
  stop.abort(new Error('enough'));
  await assert.rejects(shares.take(RUNTIME, 'default', 'a', stop.signal), /enough/);
});

test('when many load at once another process that is warm takes its part', async () => {
  const { shares, hosts, setWarm } = world();
  const many = { ...RUNTIME, spec: { ...RUNTIME.spec, share: 100 } };
  const load = async (revision: string) => {
    const member = await shares.take(many, 'default', revision, SIGNAL);
    void member.channel?.call('specialise', {}, 1);
    return member.name;
  };
  const names = [];
  for (let i = 0; i < 10; i++) names.push(load(`a${i}`));
  assert.deepEqual(new Set(await Promise.all(names)), new Set(['p0']), 'nothing else is warm');
  setWarm(1);
  const more = await Promise.all(Array.from({ length: 20 }, (_, i) => load(`b${i}`)));
  assert.ok(hosts.length > 1 && more.includes('p1'));
});
