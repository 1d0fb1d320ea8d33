/** Events of a stream as they come, for who looks on. Nothing is kept between two questions. */
import type { Clock } from '../../base/clock.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import { compileFilters, type FilterSpec } from '../../cloudevents/filter.ts';
import type { Stream } from '../log/contract.ts';
import type { EventHead, Questions } from '../model.ts';
import { readRange } from './replay.ts';

/** Most events of one answer, and how long a question is held back. */
const MOST = 100;
const LONGEST_MS = 25_000;

type Follow = Questions['follow'];

/** See `Questions.follow`. Throws `CesqlParseError`. */
export async function follow(
  stream: Stream,
  { from, since, filters, limit, waitMs }: Follow['input'],
  clock: Clock,
  show: (event: CloudEvent) => EventHead,
): Promise<Follow['answer']> {
  const { matches } = compileFilters({ filters: filters as FilterSpec[] | undefined });
  const most = Math.min(Math.max(1, limit), MOST);
  const deadline = clock.monotonic() + Math.min(Math.max(0, waitMs), LONGEST_MS);
  const events: Follow['answer']['events'] = [];
  // A stream of that name that is younger than the question begins with its beginning.
  let next = Math.min(from ?? (since === undefined ? stream.end : await stream.seek(since)), stream.end);
  for (;;) {
    const to = stream.end;
    let seen = to;
    await readRange(stream, { from: next, to }, ({ offset, at, event }) => {
      if (matches(event)) events.push({ offset, at, event: show(event) });
      if (events.length < most) return true;
      seen = offset + 1;
      return false;
    });
    next = seen;
    const left = deadline - clock.monotonic();
    if (events.length > 0 || left <= 0) return { events, next };
    if (stream.end === next) await appended(stream, left, clock);
  }
}

function appended(stream: Stream, ms: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      stop();
      resolve();
    };
    const timer = clock.after(ms, done);
    const stop = stream.onAppend(done);
  });
}
