/**
 * Collections that are asked for. Buffers of a stream lie outside of the heap, where V8 hardly counts them: left alone it collects when some
 * sixty megabytes of them are dead.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What is collected: all, and memory given back; or what was made lately, in about a millisecond. */
type Collect = (options: { type: 'major'; flavor: 'last-resort' } | { type: 'minor' }) => void;

let known: Collect | undefined;

/** V8's collector. */
export function collector(): Collect {
  if (known === undefined) {
    setFlagsFromString('--expose-gc');
    known = runInNewContext('gc') as Collect;
    setFlagsFromString('--no-expose-gc');
  }
  return known;
}

/** Dead bytes that are let be. */
const LET_BE = 8 * 1024 * 1024;
let passed = 0;

/** So many bytes have passed through buffers that nobody holds any more. For streams of many megabytes, in whatever part of the process. */
export function passedThrough(bytes: number): void {
  passed += bytes;
  if (passed < LET_BE) return;
  passed = 0;
  collector()({ type: 'minor' });
}
