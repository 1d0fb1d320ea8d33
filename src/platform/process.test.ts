import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, test } from 'node:test';
import { PetrelError } from '../base/errors.ts';
import { createLogger, silentLogger } from '../base/log.ts';
import { formatAddress, listenError, parseAddress } from './address.ts';
import { logFile } from './log.ts';
import { Parts } from './parts.ts';
import { awaitReady } from './ready.ts';

const DIR = mkdtempSync(join(tmpdir(), 'petrel-process-'));
after(() => rmSync(DIR, { recursive: true }));
const FALLBACK = { host: '127.0.0.1', port: 8080 };

for (const [text, expected] of [
  [undefined, FALLBACK],
  [':0', { host: '127.0.0.1', port: 0 }],
  ['0.0.0.0:80', { host: '0.0.0.0', port: 80 }],
  ['[::1]:443', { host: '::1', port: 443 }],
  ['localhost:65535', { host: 'localhost', port: 65535 }],
] as const) {
  test(`address ${text}`, () => {
    const address = parseAddress(text, FALLBACK, '--gateway');
    assert.deepEqual(address, expected);
    if (text !== undefined && !text.startsWith(':')) assert.equal(formatAddress(address), text);
  });
}
for (const text of ['', '8080', 'host', 'host:', 'host:65536', 'host:-1', 'a:b:1', '[::1]', 'http://x:1']) {
  test(`"${text}" is no address`, () => {
    assert.throws(
      () => parseAddress(text, FALLBACK, '--api'),
      (error) => error instanceof PetrelError && error.code === 'InvalidArgument',
    );
  });
}

test('an address in use is told with the option that changes it', () => {
  const error = listenError(Object.assign(new Error(), { code: 'EADDRINUSE' }), FALLBACK, '--gateway');
  assert.ok(error instanceof PetrelError && error.code === 'PortInUse' && /--gateway :0/.test(error.fix));
  assert.ok(
    (
      listenError(Object.assign(new Error(), { code: 'EACCES' }), FALLBACK, '--api') as PetrelError
    ).fix.includes('--api'),
  );
});

test('the log keeps at most two files of its size, loses no line that fits, and stays the same file', () => {
  const path = join(DIR, 'log');
  const write = logFile(path, 1000);
  const stderr = openSync(path, 'a');
  const line = (i: number) => `${String(i).padStart(9, '0')}\n`;
  for (let i = 0; i < 150; i++) write(line(i));
  writeSync(stderr, 'crash\n');
  const kept = readFileSync(`${path}.1`, 'utf8') + readFileSync(path, 'utf8');
  assert.equal(kept, `${Array.from({ length: 150 }, (_, i) => line(i)).join('')}crash\n`);
  for (let i = 0; i < 1000; i++) write(line(i));
  assert.ok(readFileSync(path).length <= 1010 && readFileSync(`${path}.1`).length <= 1010);
  assert.equal(existsSync(`${path}.2`), false);
});

test('parts stop last first, and one that fails keeps nobody from stopping', async () => {
  const order: string[] = [];
  const entries: string[] = [];
  const parts = new Parts(createLogger('error', (line) => entries.push(line)));
  parts.add('store', () => void order.push('store'));
  parts.add('broken', () => Promise.reject(new Error('no')));
  parts.add('gateway', async (graceMs) => void order.push(`gateway ${graceMs}`));
  await parts.stop(5);
  assert.deepEqual(order, ['gateway 5', 'store']);
  assert.match(entries.join(), /broken/);
});

test('a part that does not stop is left behind in the end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const parts = new Parts(silentLogger);
  let stopped = false;
  parts.add('first', () => {
    stopped = true;
  });
  parts.add('stuck', () => new Promise(() => {}));
  const all = parts.stop(1000);
  t.mock.timers.tick(11_000);
  await all;
  assert.equal(stopped, true);
});

test('the starter gets the record, the error, or the news of a death', async () => {
  const pipe = (text: string) => {
    const stream = new PassThrough();
    stream.end(text);
    return stream;
  };
  assert.deepEqual(await awaitReady(pipe('{"record":{"pid":7}}\n')), { pid: 7 });
  assert.equal(await awaitReady(pipe('')), undefined);
  assert.equal(await awaitReady(pipe('{"record":')), undefined);
  const line = '{"error":{"code":"PortInUse","message":"m","why":"w","fix":"f"}}\n';
  await assert.rejects(
    awaitReady(pipe(line)),
    (error) => error instanceof PetrelError && error.code === 'PortInUse' && error.fix === 'f',
  );
});
