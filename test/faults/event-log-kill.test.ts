/**
 * kill -9 of the event log at random moments while events are appended: whatever was acknowledged is there, in order and whole, and what
 * is sent again is there once. `PETREL_FAULT_KILLS` sets how often, `PETREL_FAULT_SEED` repeats a run.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import { openLog } from '../../src/eventing/log/index.ts';
import { numberedSpec, numberOf } from '../lib/numbered-events.ts';
import { Scratch } from '../lib/platform.ts';
import { seeded } from '../lib/random.ts';

const SEED = Number(process.env.PETREL_FAULT_SEED ?? Date.now() % 1_000_000);
const KILLS = Number(process.env.PETREL_FAULT_KILLS ?? 30);
const STREAMS = 3;
/** How many of the acknowledged are sent again after a start. */
const AGAIN = 30;

const scratch = new Scratch();
after(() => scratch.dispose());

/** Runs until it is killed; answers what it acknowledged: stream, number, offset. */
async function life(firsts: number[], ms: number): Promise<[number, number, number][]> {
  const script = fileURLToPath(new URL('../lib/event-log-process.ts', import.meta.url));
  const child = spawn(process.execPath, [script, scratch.dir, ...firsts.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const closed = new Promise<void>((resolve) => child.stdout.once('close', () => resolve()));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (part) => {
    output += part;
  });
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('exit', (code) => reject(new Error(`the log ended with ${code}`)));
  });
  await new Promise((resolve) => setTimeout(resolve, ms));
  child.kill('SIGKILL');
  await Promise.all([exit, closed]);
  return output
    .split('\n')
    .slice(1, -1)
    .map((line) => line.split(' ').map(Number) as [number, number, number]);
}

test(`acknowledged events outlive ${KILLS} kills (seed ${SEED})`, async (t) => {
  const next = seeded(SEED);
  /** By stream: the offset of each number that was acknowledged. */
  const acknowledged = Array.from({ length: STREAMS }, () => new Map<number, number>());
  /** By stream: the first number that was not acknowledged for sure. */
  const firsts = acknowledged.map(() => 0);
  let repeated = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    for (const [stream, number, offset] of await life(
      firsts.map((first) => Math.max(0, first - AGAIN)),
      next() * 120,
    )) {
      const known = acknowledged[stream]!.get(number);
      if (known !== undefined) {
        assert.equal(offset, known, `event ${number} was kept twice`);
        repeated++;
      }
      acknowledged[stream]!.set(number, offset);
    }
    for (let stream = 0; stream < STREAMS; stream++)
      while (acknowledged[stream]!.has(firsts[stream]!)) firsts[stream]!++;
  }

  const said: string[] = [];
  const log = await openLog({
    dir: scratch.dir,
    clock: systemClock,
    log: createLogger('error', (line) => said.push(line)),
  });
  let total = 0;
  for (let index = 0; index < STREAMS; index++) {
    const stream = await log.open(numberedSpec(index));
    const offsets = new Map<number, number>();
    for (let from = 0; from < stream.end; ) {
      for (const { offset, record } of await stream.read(from, 1_000_000)) {
        assert.equal(offset, from++);
        const number = numberOf(record);
        assert.ok(!offsets.has(number), `event ${number} is there twice`);
        offsets.set(number, offset);
      }
    }
    for (const [number, offset] of acknowledged[index]!)
      assert.equal(offsets.get(number), offset, `event ${number} of stream ${index}`);
    total += acknowledged[index]!.size;
  }
  await log.close();
  assert.deepEqual(said, []);
  assert.ok(total > KILLS * STREAMS, `only ${total} were acknowledged`);
  assert.ok(repeated > 0);
  t.diagnostic(`${total} acknowledged, 0 lost, 0 twice, ${repeated} of them sent again`);
});
