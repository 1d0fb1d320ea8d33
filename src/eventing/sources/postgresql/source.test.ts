import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { type PostgresqlServer, postgresqlServer } from '../../../../test/lib/brokers/postgresql.ts';
import { until } from '../../../../test/lib/brokers/server.ts';
import { Client } from '../../../clients/postgresql/index.ts';
import { withAttributes } from '../../../cloudevents/event.ts';
import type { Json } from '../../../kinds/object.ts';
import { postgresqlSink } from '../../sinks/postgresql.ts';
import { samples, sendThrough, startSink } from '../../sinks/testing/round-trip.ts';
import { type HarnessOptions, startHarness } from '../testing/harness.ts';
import { postgresqlSource } from './source.ts';

let server: PostgresqlServer | string;
before(async () => {
  server = await postgresqlServer();
});
after(async () => {
  if (typeof server !== 'string') await server.stop();
});

let tables = 0;

async function world(t: TestContext) {
  if (typeof server === 'string') return void t.skip(server);
  const { port, user, password, database } = server;
  const connect = async () => {
    const client = new Client({ host: '127.0.0.1', port, user, password, database });
    client.on('error', () => {});
    await client.connect();
    t.after(() => client.end());
    return client;
  };
  let sql = await connect();
  const table = `outbox_${++tables}`;
  const access = { address: `127.0.0.1:${port}`, username: user, password, database };
  const source = (config: Record<string, Json>, options: HarnessOptions = {}) =>
    startHarness(t, postgresqlSource, { ...access, ...config }, options);
  return {
    server,
    table,
    source,
    connect,
    run: async (text: string, values?: unknown[]) => (await sql.query(text, values)).rows,
    reconnect: async () => {
      sql = await connect();
    },
  };
}

const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

test('rows of an outbox are delivered in order as they are committed, and go; NOTIFY wakes the source', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.run(`CREATE TABLE ${w.table} (id bigserial PRIMARY KEY, kind text, customer text, payload jsonb)`);
  const insert = (n: number) =>
    w.run(`INSERT INTO ${w.table} (kind, customer, payload) VALUES ('order.new', 'c1', $1)`, [{ n }]);
  await insert(0);
  // Without the notification it would look once in an hour.
  const source = await w.source({
    outbox: {
      table: w.table,
      channel: 'orders',
      pollMs: 3_600_000,
      typeColumn: 'kind',
      subjectColumn: 'customer',
      dataColumn: 'payload',
    },
  });
  await source.got(1);
  const [event] = source.taken;
  assert.deepEqual([event?.id, event?.type, event?.subject], [`${w.table}/1`, 'order.new', 'c1']);
  assert.equal(event?.source, `/apis/v1/namespaces/default/postgresqlsources/test#${w.table}`);
  assert.equal(event?.datacontenttype, 'application/json');
  await until(async () => (await w.run(`SELECT 1 FROM ${w.table}`)).length === 0, 'it is gone');
  for (const n of range(1, 50)) await insert(n);
  await w.run('NOTIFY orders');
  await source.got(51);
  assert.deepEqual(
    source.texts().map((text) => JSON.parse(text).n),
    range(0, 51),
  );
  await until(async () => (await w.run(`SELECT 1 FROM ${w.table}`)).length === 0, 'all are gone');
});

test('a row whose transaction ends late is not passed over, and rows can be marked instead of deleted', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.run(`CREATE TABLE ${w.table} (id bigserial PRIMARY KEY, body text, delivered_at timestamptz)`);
  const late = await w.connect();
  await late.query('BEGIN');
  await late.query(`INSERT INTO ${w.table} (body) VALUES ('late')`);
  await w.run(`INSERT INTO ${w.table} (body) VALUES ('early')`);
  const source = await w.source({
    outbox: { table: w.table, after: 'mark', dataColumn: 'body', pollMs: 100 },
  });
  await source.got(1);
  await late.query('COMMIT');
  await source.got(2);
  assert.deepEqual(source.texts(), ['early', 'late']);
  await until(
    async () => (await w.run(`SELECT 1 FROM ${w.table} WHERE delivered_at IS NULL`)).length === 0,
    'both are marked',
  );
});

test('what is not delivered stays in the table; two sources of one table do not both deliver it', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.run(`CREATE TABLE ${w.table} (id bigserial PRIMARY KEY, body text)`);
  const outbox = { table: w.table, dataColumn: 'body', pollMs: 100 };
  const stuck = await w.source({ outbox, prefetch: 5 }, { sink: () => Promise.reject(new Error('not now')) });
  await w.run(`INSERT INTO ${w.table} (body) SELECT n::text FROM generate_series(0, 19) AS n`);
  await until(() => stuck.state().lag === 20, `all wait: ${JSON.stringify(stuck.state())}`);
  const second = await w.source({ outbox }, { name: 'second' });
  await until(() => second.state().reason === 'Standby', 'it stands by');
  await stuck.stop(0);
  await second.got(20);
  assert.equal(second.taken.length, 20);
  await until(() => second.state().lag === 0, 'nothing waits');
});

test('changes of tables come from the log, in order for each row, and are confirmed when they are delivered', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.run(`CREATE TABLE ${w.table} (id int PRIMARY KEY, name text, photo bytea)`);
  const replication = { slot: `slot_${w.table}`, publication: `pub_${w.table}`, tables: [w.table] };
  const source = await w.source({ replication });
  await source.ready();
  await w.run(`INSERT INTO ${w.table} VALUES (1, 'kim', '\\x0102')`);
  await w.run(`UPDATE ${w.table} SET name = 'kim l.' WHERE id = 1`);
  await w.run(`DELETE FROM ${w.table} WHERE id = 1`);
  await source.got(3);
  assert.deepEqual(
    source.taken.map(({ type, subject }) => [type, subject]),
    ['insert', 'update', 'delete'].map((what) => [`dev.petrel.postgresql.${what}`, '1']),
  );
  assert.equal(
    source.taken[0]?.source,
    `/apis/v1/namespaces/default/postgresqlsources/test#public.${w.table}`,
  );
  assert.deepEqual(JSON.parse(source.texts()[0] ?? ''), {
    new: { id: 1, name: 'kim', photo: 'AQI=' },
    old: null,
  });
  assert.deepEqual(JSON.parse(source.texts()[2] ?? '').new, null);
  assert.ok(Math.abs(Date.parse(source.taken[0]?.time ?? '') - Date.now()) < 60_000);
  await source.stop();
  await w.run(`INSERT INTO ${w.table} VALUES (2, 'while away', null)`);
  const next = await w.source({ replication });
  await next.got(1);
  assert.equal(next.taken.length, 1);
  assert.match(next.texts()[0] ?? '', /while away/);
});

test('a transaction of which one event is not delivered comes again as a whole, with the same ids', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.run(`CREATE TABLE ${w.table} (id int PRIMARY KEY)`);
  const replication = { slot: `slot_${w.table}`, publication: `pub_${w.table}`, tables: [w.table] };
  const stuck = await w.source(
    { replication },
    { sink: ({ subject }) => (subject === '7' ? Promise.reject(new Error('not now')) : undefined) },
  );
  await stuck.ready();
  await w.run(`INSERT INTO ${w.table} SELECT generate_series(0, 9)`);
  await w.run(`INSERT INTO ${w.table} SELECT generate_series(10, 19)`);
  await stuck.got(19);
  await stuck.stop(0);
  const next = await w.source({ replication });
  await next.got(20);
  const ids = new Set(next.taken.map(({ id }) => id));
  assert.ok(stuck.taken.every(({ id }) => ids.has(id)));
  assert.equal(ids.size, 20);
});

test('kill -9 of the server in mid-stream loses nothing; a wrong password and a missing table are told', async (t) => {
  const w = await world(t);
  if (!w) return;
  const wrong = await w.source({ password: 'wrong-password', outbox: { table: 'x' } }, { name: 'wrong' });
  const missing = await w.source({ outbox: { table: 'nowhere' } }, { name: 'missing' });
  await until(() => wrong.state().reason === 'Unauthorized', `refused: ${JSON.stringify(wrong.states)}`);
  await until(() => missing.state().reason === 'TableNotFound', `missing: ${JSON.stringify(missing.states)}`);
  assert.doesNotMatch(JSON.stringify(wrong.states), /wrong-password/);
  await Promise.all([wrong.stop(), missing.stop()]);

  await w.run(`CREATE TABLE ${w.table} (id bigserial PRIMARY KEY)`);
  await w.run(`CREATE TABLE ${w.table}_log (id int PRIMARY KEY)`);
  const slow = { sink: () => new Promise((resolve) => setTimeout(resolve, 2)) };
  const rows = await w.source(
    { concurrency: 4, outbox: { table: w.table, pollMs: 100 } },
    { ...slow, name: 'rows' },
  );
  const replication = { slot: `slot_${w.table}`, publication: `pub_${w.table}`, tables: [`${w.table}_log`] };
  const changes = await w.source({ concurrency: 4, replication }, { ...slow, name: 'changes' });
  await changes.ready();
  await w.run(`INSERT INTO ${w.table}_log SELECT generate_series(1, 400)`);
  await w.run(`INSERT INTO ${w.table} SELECT generate_series(1, 400)`);
  await Promise.all([rows.got(50), changes.got(50)]);
  await w.server.kill();
  await until(() => !rows.state().ready && !changes.state().ready, 'both tell');
  await w.server.start();
  await w.reconnect();
  await w.run(`INSERT INTO ${w.table}_log VALUES (401)`);
  await w.run(`INSERT INTO ${w.table} VALUES (401)`);
  await Promise.all([rows.got(401, 60_000), changes.got(401, 60_000)]);
  t.diagnostic(
    `duplicates: ${rows.taken.length - 401} of the table, ${changes.taken.length - 401} of the log`,
  );
});

test('a wrong configuration is refused by field', () => {
  const config = { address: 'a', database: 'd', username: 'u', outbox: {}, replication: { slot: 'My-Slot' } };
  assert.deepEqual(
    postgresqlSource.check(config).map(({ field }) => field),
    ['address', 'outbox.table', 'replication.slot', 'replication.publication', 'outbox'],
  );
});

test('the sink writes a row for each event, once; what it has confirmed survives kill -9 of the server', async (t) => {
  const w = await world(t);
  if (!w) return;
  const { port, user: username, password, database } = w.server;
  const config = { address: `127.0.0.1:${port}`, username, password, database };
  const sink = await startSink(t, postgresqlSink, { ...config, table: w.table, create: true });
  const [json, text, bytes] = samples();
  for (const event of [json!, json!, text!, bytes!]) await sink.send(event);
  const rows = await w.run(`SELECT * FROM ${w.table} ORDER BY id`);
  assert.equal(rows.length, 3);
  assert.deepEqual(rows[0].data, { n: 1 });
  assert.deepEqual(
    [rows[0].type, rows[0].subject, rows[0].extensions.partitionkey],
    ['com.shop.order', 'Grüße 😀', 'k1'],
  );
  assert.equal(rows[0].time.toISOString(), json?.time);
  assert.deepEqual([rows[1].data, rows[1].bytes.toString(), rows[2].bytes], [null, 'text', bytes?.data]);
  const confirmed = await sendThrough(sink, w.server, (id) => withAttributes(json!, { id }));
  await w.reconnect();
  const kept = new Set((await w.run(`SELECT id FROM ${w.table}`)).map(({ id }) => id));
  assert.ok([...confirmed].every((id) => kept.has(id)));
  const missing = await startSink(t, postgresqlSink, { ...config, table: 'nowhere' });
  await until(() => missing.state().reason === 'TableNotFound', 'it is told');
});

test('TLS: a certificate that is trusted, and one that is not', async (t) => {
  const w = await world(t);
  if (!w) return;
  await w.run(`CREATE TABLE ${w.table} (id bigserial PRIMARY KEY)`);
  await w.run(`INSERT INTO ${w.table} DEFAULT VALUES`);
  const outbox = { table: w.table };
  const source = await w.source({ outbox, tls: { caCerts: w.server.ca } });
  await source.got(1);
  const wary = await w.source({ outbox, tls: {} }, { name: 'wary' });
  await until(() => wary.state().reason === 'Unauthorized', 'it is not trusted');
});
