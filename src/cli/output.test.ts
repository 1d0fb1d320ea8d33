import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PetrelError } from '../base/errors.ts';
import { Output } from './output.ts';

function sinks(isTTY: boolean) {
  const written = { out: '', err: '' };
  const out = new Output(
    'table',
    { write: (chunk) => (written.out += chunk) },
    { write: (chunk) => (written.err += chunk), isTTY },
  );
  return { out, written };
}

test('columns are as wide as their widest cell', () => {
  const { out, written } = sinks(false);
  out.table(
    ['A', 'LONG'],
    [
      ['wide', 'x'],
      ['y', 'z'],
    ],
  );
  assert.equal(written.out, 'A     LONG\nwide  x\ny     z\n');
});

test('a quick step says nothing; a slow one is shown on a terminal and goes away', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { out, written } = sinks(true);
  assert.equal(await out.progress('working', Promise.resolve(1)), 1);
  assert.equal(written.err, '');
  const step = Promise.withResolvers<void>();
  const shown = out.progress('working', step.promise);
  t.mock.timers.tick(501);
  assert.equal(written.err, 'working ...');
  step.resolve();
  await shown;
  assert.equal(written.err, 'working ...\r\x1b[K');
  assert.equal(written.out, '');
});

test('without a terminal only a long step is worth a line', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { out, written } = sinks(false);
  const step = Promise.withResolvers<void>();
  const shown = out.progress('working', step.promise);
  t.mock.timers.tick(4999);
  assert.equal(written.err, '');
  t.mock.timers.tick(1);
  step.resolve();
  await shown;
  assert.equal(written.err, 'working ...\n');
});

test('a failure says what, why and how to fix it, and has its own exit code', () => {
  const { out, written } = sinks(false);
  assert.equal(
    out.failure(new PetrelError('LoadError', 'line one\nline two\n', { why: 'because', fix: 'do this' })),
    11,
  );
  assert.equal(written.err, 'error: line one\n       line two\n  why: because\n  fix: do this\n');
});

test('what nobody foresaw is a defect with its stack', () => {
  const { out, written } = sinks(false);
  assert.equal(out.failure(new TypeError('x is undefined')), 70);
  assert.match(
    written.err,
    /error: Petrel failed: x is undefined\n {2}why: TypeError: x is undefined\n.*output\.test\.ts/,
  );
});
