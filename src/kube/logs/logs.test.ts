import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KubeError } from '../client.ts';
import type { KubeTransport } from '../transport.ts';
import { entriesOf, type LogEntry, lastOf, merge } from './entries.ts';
import { LineDecoder } from './lines.ts';
import { goneSources, type LogSource, lastEnded } from './sources.ts';

const source = (instance: string, run = 0, more: Partial<LogSource> = {}): LogSource => ({
  instance,
  revision: 'r',
  container: 'c',
  run,
  key: `${instance}/${run}`,
  path: `/${instance}`,
  query: {},
  ...more,
});

/** Answers with the texts of the paths. */
const serving = (texts: Record<string, string>, asked: string[] = []): KubeTransport => ({
  async request({ path }) {
    asked.push(path);
    const text = texts[path.split('?')[0]!];
    async function* body() {
      for (const byte of Buffer.from(text ?? 'not here')) yield Buffer.from([byte]);
    }
    return { status: text === undefined ? 404 : 200, headers: {}, body: body() };
  },
  close() {},
});
const told = async (entries: AsyncGenerator<LogEntry>) => {
  const lines: string[] = [];
  for await (const { source: from, text } of entries) lines.push(`${from.instance} ${text}`);
  return lines;
};

test('lines of many instances come in the order of their times, those of one in their own', async () => {
  const transport = serving({
    '/a': '1 one\n3 three\n3 and more\n',
    '/b': '2 two\n3 three too\n4 é\n',
    '/empty': '',
  });
  const all = () => merge(['a', 'b', 'empty', 'gone'].map((name) => entriesOf(transport, source(name), {})));
  const lines = ['a one', 'b two', 'b three too', 'a three', 'a and more', 'b é'];
  assert.deepEqual((await told(all())).toSorted(), lines.toSorted());
  const got = await told(all());
  assert.deepEqual([got[0], got[1], got[5]], ['a one', 'b two', 'b é']);
  assert.equal(got.indexOf('a and more') - got.indexOf('a three'), 1);
  for (const count of [0, 1, 4, 6, 9])
    assert.deepEqual(await told(lastOf(all(), count)), count === 0 ? [] : got.slice(-count), String(count));
});

test('what is left out does not count among the last lines, and refusals are told', async () => {
  const asked: string[] = [];
  const keep = () => (line: string) => (line.startsWith('my ') ? line.slice(3) : undefined);
  const refused: string[] = [];
  const transport = serving({ '/a': '1 my first\n2 other\n' }, asked);
  const options = {
    tail: 1,
    keep,
    refused: (from: LogSource, status: number, why: string) =>
      void refused.push(`${from.instance} ${status} ${why}`),
  };
  assert.deepEqual(await told(entriesOf(transport, source('a'), options)), ['a first']);
  assert.deepEqual(await told(entriesOf(transport, source('gone'), { ...options, keep: undefined })), []);
  assert.ok(!asked[0]?.includes('tailLines') && asked[1]?.includes('tailLines=1'));
  assert.deepEqual(refused, ['gone 404 not here']);
});

test('a line without an end is given out in pieces', () => {
  const lines = new LineDecoder();
  const pieces = ['x'.repeat(200_000), 'x'.repeat(100_000), 'y\nnext'].flatMap((text) =>
    lines.push(Buffer.from(text)),
  );
  assert.deepEqual(
    [...pieces, ...lines.end()].map(([text, begins]) => [text.length, begins]),
    [
      [300_000, true],
      [1, false],
      [4, true],
    ],
  );
});

test('the previous run is the one that broke last, else the one that ended last', () => {
  const scaled = source('scaled', 0, { endedAt: 9 });
  const crashed = source('p', 0, { endedAt: 5 });
  assert.equal(lastEnded([scaled, crashed, source('p', 1)]), crashed);
  assert.equal(lastEnded([scaled, source('q', 0, { endedAt: 3 })]), scaled);
  assert.equal(lastEnded([source('q')]), undefined);
});

test('a node that keeps no logs has none', async () => {
  const client = {
    list: async () => ({ items: [{ metadata: { name: 'n' } }], resourceVersion: '1' }),
    get: async () => ({ metadata: { creationTimestamp: '2026-01-02T00:00:00Z' } }),
  };
  const scope = { namespace: 'ns', labelSelector: '', group: 'service_a' };
  assert.deepEqual(await goneSources(client as never, serving({}), scope), []);
  const failing = { request: () => Promise.reject(new KubeError(500, '', 'no')), close() {} };
  assert.deepEqual(await goneSources(client as never, failing, scope), []);
  const path = '/api/v1/nodes/n/proxy/goneLogs/ns/service_a';
  const run = (pod: string, endedAt: number) => ({
    id: pod,
    pod,
    revision: 'r',
    container: 'c',
    run: 0,
    endedAt,
  });
  const at = Date.parse('2026-01-02T00:00:00Z');
  const kept = serving({ [path]: JSON.stringify([run('before', at - 1), run('mine', at)]) });
  const found = await goneSources(client as never, kept, scope);
  assert.deepEqual(
    found.map(({ instance }) => instance),
    ['mine'],
    'not those of a namespace that had the name before',
  );
});
