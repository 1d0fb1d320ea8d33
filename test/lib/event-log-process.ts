/**
 * An event log in a process of its own, for tests that kill it: `node event-log-process.ts <dir> <first number>…`, a number for each stream.
 * Appends numbered events to each as fast as the disk takes them, and prints `<stream> <number> <offset>` when one is acknowledged.
 */
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import { openLog } from '../../src/eventing/log/index.ts';
import { numberedRecord, numberedSpec } from './numbered-events.ts';

/** Appends of one stream that wait at once. */
const AT_ONCE = 20;

const [dir = '', ...firsts] = process.argv.slice(2);
const log = await openLog({
  dir,
  clock: systemClock,
  log: createLogger('error', (line) => process.stderr.write(line)),
});
process.stdout.write('ready\n');
await Promise.all(
  firsts.map(async (first, index) => {
    const stream = await log.open(numberedSpec(index));
    let next = Number(first);
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (;;) {
          const number = next++;
          const { offset } = await stream.append(numberedRecord(number), Date.now(), `${number}`);
          process.stdout.write(`${index} ${number} ${offset}\n`);
        }
      }),
    );
  }),
);
