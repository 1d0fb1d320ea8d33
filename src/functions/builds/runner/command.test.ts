import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { temporaryDirectory } from '../../testing/archives.ts';
import { createExcerpt, runCommand } from './command.ts';

const run = (script: string, options: { timeoutMs?: number; maxBytes?: number } = {}) =>
  runCommand({
    command: ['sh', '-c', script],
    cwd: '/',
    env: { PATH: process.env.PATH ?? '' },
    disk: { path: tmpdir(), maxBytes: options.maxBytes ?? 2 ** 40 },
    timeoutMs: options.timeoutMs ?? 60_000,
  });

/** Resolves when there is no such process, or nothing but its number. */
async function gone(pid: string): Promise<void> {
  const alive = () =>
    !/^Z?$/.test(spawnSync('ps', ['-o', 'state=', '-p', pid], { encoding: 'utf8' }).stdout.trim());
  while (alive()) await setTimeout(10);
}

test('a command that ends tells its code and what it said', async () => {
  assert.deepEqual(await run('echo out; echo err >&2; exit 3'), { exitCode: 3, words: 'out\nerr\n' });
});

test('a program that is not there is named', async () => {
  const end = await runCommand({
    command: ['/no/such/program'],
    cwd: '/',
    env: {},
    disk: { path: '/', maxBytes: 1 },
    timeoutMs: 1000,
  });
  assert.equal(end.exitCode, 127);
  assert.match(end.words, /\/no\/such\/program: not found/);
});

test('what never ends is ended, with all that it has started', async () => {
  const end = await run('sleep 1000 & echo $!; wait', { timeoutMs: 200 });
  assert.equal(end.ended, 'timeout');
  await gone(end.words.trim());
});

test('what it leaves running does not keep it from ending', async (t) => {
  const file = `${await temporaryDirectory(t)}/pid`;
  const daemon = `setsid sh -c 'echo $$ >${file}; exec sleep 1002' & until [ -s ${file} ]; do sleep 0.02; done; cat ${file}`;
  const end = await run(`sleep 1001 & echo $!; ${daemon}`);
  assert.equal(end.ended, undefined);
  assert.equal(end.exitCode, 0);
  const [inGroup = '', escaped = ''] = end.words.trim().split('\n');
  // Its own sandbox ends this one.
  process.kill(Number(escaped), 'SIGKILL');
  await gone(inGroup);
});

test('what writes more than it may is ended', async (t) => {
  const dir = await temporaryDirectory(t);
  const end = await run(`head -c 100000000 /dev/urandom > ${dir}/big; sleep 1000`, { maxBytes: 50_000_000 });
  assert.equal(end.ended, 'disk');
});

test('of much output the beginning and the end are kept, whole lines', () => {
  const excerpt = createExcerpt();
  for (let line = 0; line < 10_000; line++) excerpt.add(Buffer.from(`line ${line}\n`));
  const text = excerpt.text();
  assert.ok(text.length < 4096);
  assert.match(text, /^line 0\nline 1\n/);
  assert.match(text, /\n\[…\]\nline \d+\n/);
  assert.match(text, /line 9999\n$/);
  const short = createExcerpt();
  short.add(Buffer.from('all of it'));
  assert.equal(short.text(), 'all of it');
});
