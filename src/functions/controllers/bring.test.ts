import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import type { Runtime } from '../../kinds/function.ts';
import { createBringer } from './bring.ts';

const runtimesDir = mkdtempSync(join(tmpdir(), 'petrel-bring-'));
after(() => rmSync(runtimesDir, { recursive: true }));
mkdirSync(join(runtimesDir, 'heavy'));

const runtime = (script: string): Runtime => {
  writeFileSync(join(runtimesDir, 'heavy/bring.cjs'), script);
  return {
    apiVersion: 'petrel.dev/v1',
    kind: 'Runtime',
    metadata: { name: 'heavy' },
    spec: {
      language: 'heavy',
      extensions: [],
      command: [],
      tools: [
        {
          command: '$(RUNTIME_DIR)/tool',
          for: 'run',
          install: 'Install it by hand.',
          bring: ['$(NODE)', '$(RUNTIME_DIR)/bring.cjs'],
        },
      ],
    },
  };
};
const bringer = () =>
  createBringer({ runtimesDir, node: process.execPath, clock: systemClock, log: silentLogger });

test('what is not there is brought once, however many ask; then there is nothing to do', async () => {
  const { bring, problem } = bringer();
  const heavy = runtime(`
    const fs = require('node:fs');
    fs.appendFileSync(__dirname + '/tries', 'x');
    fs.writeFileSync(__dirname + '/tool', '');`);
  const both = [bring(heavy), bring(heavy)];
  assert.equal(both[0], both[1]);
  await both[0];
  assert.ok(existsSync(join(runtimesDir, 'heavy/tool')));
  assert.equal(problem('heavy'), undefined);
  assert.equal(bring(heavy), undefined);
  rmSync(join(runtimesDir, 'heavy/tool'));
});

test('a failure is told with the words of what failed, and how to help oneself', async () => {
  const { bring, problem } = bringer();
  const heavy = runtime(`console.error('no route to the registry'); process.exit(1);`);
  await bring(heavy);
  assert.equal(problem('heavy')?.reason, 'RuntimeUnavailable');
  assert.match(problem('heavy')?.message ?? '', /no route to the registry.*Install it by hand/s);
  assert.equal(bring(heavy), undefined, 'not at once again');
});

test('a runtime that brings nothing is not looked at', () => {
  const heavy = runtime('');
  assert.equal(bringer().bring({ ...heavy, spec: { ...heavy.spec, tools: [] } }), undefined);
});
