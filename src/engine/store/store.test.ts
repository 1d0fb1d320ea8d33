import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type TestContext } from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { RevisionExpired, type Store, type StoreEvent } from './contract.ts';
import { openStore, type StoreOptions } from './store.ts';

const CM = '/configmaps';
const EVENTS = '/events';

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'petrel-store-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const open = (path: string, options: Partial<StoreOptions> = {}): Store =>
  openStore({ path: join(path, 'state.db'), log: silentLogger, ...options });

const object = (name: string, data: Record<string, string> = {}): UntypedObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data,
});

const names = (store: Store, options?: Parameters<Store['list']>[1]): string[] =>
  store.list(CM, options).items.map((i) => i.name);

test('revisions rise with every write, and a write is seen when it is acknowledged', async (t) => {
  const store = open(directory(t));
  t.after(() => store.close());
  const before = store.revision;
  const writing = store.put(CM, object('a'));
  assert.equal(store.get(CM, 'default', 'a'), undefined, 'not durable yet');
  assert.equal(store.latest(CM, 'default', 'a')?.name, 'a');
  const a = await writing;
  assert.ok(a.revision > before);
  assert.equal(store.revision, a.revision);
  assert.equal(store.get(CM, 'default', 'a'), a);
  assert.equal(JSON.parse(a.text).metadata.resourceVersion, String(a.revision));
  const b = await store.put(CM, object('b'));
  assert.ok(b.revision > a.revision);
});

test('writes of one turn are one commit, seen together and in order', async (t) => {
  const store = open(directory(t));
  t.after(() => store.close());
  const commits: number[][] = [];
  store.onCommit((events) => commits.push(events.map((e) => e.revision)));
  const written = await Promise.all(['c', 'a', 'b'].map((n) => store.put(CM, object(n))));
  assert.deepEqual(commits, [written.map((w) => w.revision)]);
  assert.deepEqual(names(store), ['a', 'b', 'c']);
});

test('changes are told in order, with the state before', async (t) => {
  const store = open(directory(t));
  t.after(() => store.close());
  const seen: StoreEvent[] = [];
  store.subscribe(CM, (e) => seen.push(e));
  const first = store.put(CM, object('a', { v: '1' }));
  const second = store.put(CM, object('a', { v: '2' }));
  const third = store.remove(CM, store.latest(CM, 'default', 'a')!.clone());
  const fourth = store.put(CM, object('a', { v: '4' }));
  const [added, modified, deleted, again] = await Promise.all([first, second, third, fourth]);
  assert.deepEqual(
    seen.map(({ type, current, previous }) => [type, current, previous]),
    [
      ['ADDED', added, undefined],
      ['MODIFIED', modified, added],
      ['DELETED', deleted, modified],
      ['ADDED', again, undefined],
    ],
  );
  assert.deepEqual(
    store.since(CM, added.revision).map((e) => e.revision),
    [modified, deleted, again].map((o) => o.revision),
  );
});

test('a list shows one revision, page by page, whatever is written between the pages', async (t) => {
  const store = open(directory(t));
  t.after(() => store.close());
  for (const n of ['a', 'b', 'c', 'd', 'e']) await store.put(CM, object(n, { v: '1' }));
  const first = store.list(CM, { limit: 2 });
  assert.deepEqual(
    first.items.map((i) => i.name),
    ['a', 'b'],
  );
  assert.equal(first.remaining, 3);
  await store.put(CM, object('cc'));
  await store.remove(CM, store.latest(CM, 'default', 'd')!.clone());
  await store.put(CM, object('e', { v: '2' }));
  const rest = store.list(CM, { at: first.revision, after: first.next });
  assert.deepEqual(
    rest.items.map((i) => i.name),
    ['c', 'd', 'e'],
  );
  assert.equal(rest.items[2]?.object.data.v, '1');
  assert.equal(rest.revision, first.revision);
  assert.deepEqual(names(store), ['a', 'b', 'c', 'cc', 'e']);
});

test('a namespace is listed by itself, also where another begins with its name', async (t) => {
  const store = open(directory(t));
  t.after(() => store.close());
  for (const namespace of ['team', 'team-a', 'tea']) {
    const o = object('x');
    o.metadata.namespace = namespace;
    await store.put(CM, o);
  }
  assert.deepEqual(
    store.list(CM, { namespace: 'team' }).items.map((i) => i.namespace),
    ['team'],
  );
  assert.equal(store.namespaceInUse('te'), false);
  assert.equal(store.namespaceInUse('team-a'), true);
});

test('history is bounded, and what is beyond it is refused', async (t) => {
  const path = directory(t);
  const history = { events: 10, size: 1e6, age: 1e9 };
  const store = open(path, { history });
  const first = await store.put(CM, object('a', { v: '0' }));
  for (let i = 1; i <= 30; i++) await store.put(CM, object('a', { v: String(i) }));
  assert.throws(() => store.since(CM, first.revision), RevisionExpired);
  assert.throws(() => store.list(CM, { at: first.revision }), RevisionExpired);
  const recent = store.since(CM, store.revision - 3);
  assert.equal(recent.length, 3);
  await store.close();
  const rows = new DatabaseSync(join(path, 'state.db')).prepare('SELECT count(*) AS n FROM log').get();
  assert.ok(Number(rows?.n) <= 12, `rows that nothing needs are removed: ${rows?.n} left`);
});

test('after a restart everything is there, watches go on, and no revision is given twice', async (t) => {
  const path = directory(t);
  const first = open(path);
  const a = await first.put(CM, object('a', { v: '1' }));
  await first.put(CM, object('a', { v: '2' }));
  await first.put(CM, object('b'));
  await first.remove(CM, first.latest(CM, 'default', 'b')!.clone());
  const last = first.revision;
  await first.close();

  const second = open(path);
  t.after(() => second.close());
  assert.equal(second.revision, last);
  assert.deepEqual(names(second), ['a']);
  assert.equal(second.get(CM, 'default', 'a')?.object.data.v, '2');
  const missed = second.since(CM, a.revision);
  assert.deepEqual(
    missed.map((e) => e.type),
    ['MODIFIED', 'ADDED', 'DELETED'],
  );
  assert.equal(missed[0]?.previous?.object.data.v, '1');
  assert.deepEqual(
    second.list(CM, { at: a.revision }).items.map((i) => i.object.data.v),
    ['1'],
  );
  assert.ok((await second.put(CM, object('c'))).revision > last);
});

test('nothing acknowledged is lost when the process is killed', async (t) => {
  const path = directory(t);
  const script = `
    import { openStore } from ${JSON.stringify(new URL('./store.ts', import.meta.url).href)};
    import { silentLogger } from ${JSON.stringify(new URL('../../base/log.ts', import.meta.url).href)};
    const store = openStore({ path: ${JSON.stringify(join(path, 'state.db'))}, log: silentLogger, volatile: { '/events': { ttl: 1e6, maxObjects: 100 } } });
    for (let i = 0; ; i++) {
      const resource = i % 3 === 2 ? '/events' : '/configmaps';
      const written = await store.put(resource, { apiVersion: 'v1', kind: 'X', metadata: { name: 'n' + i, namespace: 'default' } });
      process.stdout.write(resource + ' n' + i + ' ' + written.revision + '\\n');
    }`;
  let highest = 0;
  const acknowledged = new Set<string>();
  for (let round = 0; round < 3; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    for await (const chunk of child.stdout) {
      text += chunk;
      // Read to its end: a pipe that closes first would be what ends the process, and not the signal.
      if (text.length > 2000 * (round + 1)) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');
    let last = 0;
    const lines = text.slice(0, text.lastIndexOf('\n')).split('\n');
    for (const line of lines) {
      const [resource, name = '', revision] = line.split(' ');
      assert.ok(Number(revision) > highest, 'a revision was given twice');
      last = Number(revision);
      if (resource === CM) acknowledged.add(name);
    }
    highest = last;
    const store = open(path);
    const found = new Set(names(store));
    for (const name of acknowledged) assert.ok(found.has(name), `${name} is lost`);
    assert.ok(store.revision >= highest);
    await store.close();
    for (const name of found) acknowledged.add(name);
  }
});

test('volatile objects expire, are bounded, and reach the disk with what is durable', async (t) => {
  const path = directory(t);
  const clock = simulatedClock();
  const volatile = { [EVENTS]: { ttl: 10_000, maxObjects: 3 } };
  const store = open(path, { clock, volatile });
  for (const n of ['a', 'b', 'c', 'd']) await store.put(EVENTS, object(n));
  await store.put(CM, object('x'));
  assert.deepEqual(
    store.list(EVENTS).items.map((i) => i.name),
    ['b', 'c', 'd'],
  );
  await clock.advance(6000);
  await store.put(EVENTS, object('b', { seen: 'again' }));
  const gone: string[] = [];
  store.subscribe(EVENTS, (e) => e.type === 'DELETED' && gone.push(e.current.name));
  await clock.advance(6000);
  assert.deepEqual(
    store.list(EVENTS).items.map((i) => i.name),
    ['b'],
  );
  assert.deepEqual(gone, ['c', 'd']);
  await store.close();
  const again = open(path, { clock, volatile });
  t.after(() => again.close());
  assert.deepEqual(
    again.list(EVENTS).items.map((i) => i.name),
    ['b'],
  );
  assert.throws(() => again.since(EVENTS, again.revision - 1), RevisionExpired);
  const expired = new Promise<void>((resolve) => again.onCommit(() => resolve()));
  await clock.advance(20_000);
  await expired;
  assert.equal(again.count(EVENTS), 0);
});

test('a second process on the same home is refused, and the lock goes with its holder', async (t) => {
  const path = directory(t);
  const store = open(path);
  assert.throws(() => open(path), { code: 'PlatformAlreadyRunning' });
  const script = `
    import { acquireLock } from ${JSON.stringify(new URL('./lock.ts', import.meta.url).href)};
    try { acquireLock(${JSON.stringify(join(path, 'state.db-lock'))}); console.log('got it'); } catch (e) { console.log(e.code); }`;
  const other = () =>
    spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout.trim();
  assert.equal(other(), 'PlatformAlreadyRunning');
  await store.close();
  assert.equal(other(), 'got it');
});

test('the file is for its owner alone', async (t) => {
  const path = directory(t);
  const store = open(path);
  await store.put(CM, object('a'));
  for (const file of ['state.db', 'state.db-wal', 'state.db-lock']) {
    assert.equal(statSync(join(path, file)).mode & 0o077, 0, file);
  }
  await store.close();
});

test('a damaged file, one of the future, and a directory that cannot be written are said to be so', (t) => {
  const path = directory(t);
  writeFileSync(
    join(path, 'state.db'),
    'this is no database, but it is long enough to be read as one'.repeat(100),
  );
  assert.throws(() => open(path), { code: 'StartFailed' });
  assert.throws(() => open(path), { code: 'StartFailed' }, 'the lock of the failed start is released');

  const future = join(path, 'future');
  mkdirSync(future);
  const database = new DatabaseSync(join(future, 'state.db'));
  database.exec('PRAGMA user_version = 99');
  database.close();
  assert.throws(() => open(future), { code: 'StartFailed', message: /newer version/ });

  const closed = join(path, 'file');
  writeFileSync(closed, '');
  assert.throws(() => open(closed), { code: 'HomeNotWritable' });
  const readOnly = join(path, 'read-only');
  mkdirSync(readOnly);
  chmodSync(readOnly, 0o500);
  if (process.getuid?.() !== 0) assert.throws(() => open(readOnly), { code: 'HomeNotWritable' });
});

test('a full disk refuses the write, loses nothing before it, and writing goes on when there is room', async (t) => {
  const path = directory(t);
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', path]);
  if (mount.status !== 0) return t.skip('needs the right to mount a small file system');
  const store = open(path);
  try {
    const filler = 'x'.repeat(20_000);
    let written = 0;
    await assert.rejects(
      async () => {
        for (; written < 100; written++) await store.put(CM, object(`n${written}`, { filler }));
      },
      { code: 'DiskFull' },
    );
    assert.equal(store.count(CM), written);
    assert.equal(store.latest(CM, 'default', `n${written}`), undefined, 'what failed is not there');
    spawnSync('mount', ['-o', 'remount,size=4m', path]);
    await store.put(CM, object('after'));
    assert.equal(store.count(CM), written + 1);
    await store.close();
    const again = open(path);
    assert.equal(again.count(CM), written + 1);
    await again.close();
  } finally {
    await store.close();
    spawnSync('umount', [path]);
  }
});
