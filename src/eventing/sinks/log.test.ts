import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { createLogger } from '../../base/log.ts';
import { makeEvent } from '../../cloudevents/event.ts';
import type { Json } from '../../kinds/object.ts';
import type { SinkContext } from './contract.ts';
import { logSink } from './log.ts';

async function logged(config: Record<string, Json>, data: Buffer): Promise<Record<string, unknown>> {
  const lines: string[] = [];
  const context = {
    key: 'sink/default/l',
    config,
    report() {},
    clock: systemClock,
    log: createLogger('debug', (line) => lines.push(line)),
  } as unknown as SinkContext<Record<string, Json>>;
  const sink = await logSink.start(context);
  await sink.send(
    makeEvent('1', '/s', 't', undefined, undefined, undefined, undefined, { region: 'eu' }, data),
  );
  await sink.stop(0);
  assert.equal(lines.length, 1);
  return JSON.parse(lines[0] ?? '');
}

test('an event is a line: attributes, extensions, data', async () => {
  const line = await logged({ level: 'warn', name: 'audit' }, Buffer.from('hello\nworld'));
  assert.equal(line.level, 'warn');
  assert.equal(line.message, 'audit');
  assert.equal(line['ce-type'], 't');
  assert.equal(line['ce-region'], 'eu');
  assert.equal(line.data, 'hello\nworld');
});

test('as little as is asked for; what is no text as base64, and never more than 4 KiB', async () => {
  const line = await logged({ showAttributes: false, showData: false }, Buffer.from('secret'));
  assert.deepEqual([line['ce-id'], line['ce-type'], line.data], ['1', undefined, undefined]);
  const bytes = Buffer.from([0, 255, 1]);
  assert.equal((await logged({}, bytes)).data, bytes.toString('base64'));
  assert.equal(String((await logged({}, Buffer.alloc(10_000, 'x'))).data).length, 4097);
});
