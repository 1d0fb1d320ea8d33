/** Answers to the questions about events, deliveries and dead letters. */
import { isUtf8 } from 'node:buffer';
import type { Clock } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import { type CloudEvent, makeEvent } from '../../cloudevents/event.ts';
import { compileFilters, type FilterSpec } from '../../cloudevents/filter.ts';
import { decodeRecord } from '../../cloudevents/record.ts';
import type { DeadRow, EngineState } from '../log/state/contract.ts';
import type { EventHead, EventPath, Questions } from '../model.ts';
import { follow } from './follow.ts';
import type { Head } from './head.ts';
import type { Lane } from './lane.ts';
import type { Paths } from './paths.ts';
import { type Range, readRange, replay } from './replay.ts';
import type { Subscription } from './subscription.ts';

/** All but what is asked of the engine as a whole. */
export type Answers = {
  [K in Exclude<keyof Questions, 'engine'>]: (
    input: Questions[K]['input'],
  ) => Promise<Questions[K]['answer']>;
};

/** Bytes of data that are shown. */
const SHOWN = 64 * 1024;
/** Most answers to one question. */
const MOST = 1000;
/** Subscriptions that did not want an event which are shown with it: there may be a thousand. */
const FILTERED = 20;
/** Dead letters that are handled at a time. */
const GROUP = 200;
/** Events that are looked through backwards at a time, at first. */
const BACK = 4096;

/** What the answers are made of. */
export interface Known {
  state: EngineState;
  paths: Paths;
  clock: Clock;
  /** Streams by key, with their counts. */
  streams(): Iterable<[key: string, { head: Head; accepted: number; refusals: Record<string, number> }]>;
  subscriptions(): Iterable<Subscription>;
  /** Who delivers a dead letter of that key again: its subscription, or what delivers for a source. */
  lane(key: string): Lane | undefined;
}

export function createAnswers(known: Known): Answers {
  const { state } = known;

  const streamsOf = (key: string | undefined): Head[] => {
    const heads: Head[] = [];
    for (const [name, { head }] of known.streams()) if (key === undefined || name === key) heads.push(head);
    if (key !== undefined && heads.length === 0)
      throw new PetrelError('NotFound', `there is no ${key.replace('/', ' ')}`, {
        fix: 'List what there is: petrel event streams.',
      });
    return heads;
  };

  /** Calls `each` with all dead letters a question means, in groups; they may be taken away meanwhile. */
  const eachGroup = async (
    { ids, subscription, namespace }: Questions['redrive']['input'],
    each: (rows: DeadRow[]) => Promise<number>,
  ): Promise<number> => {
    let count = 0;
    let after = 0;
    for (;;) {
      const rows = state.dead({ ids, subscription, namespace, after, limit: GROUP });
      if (rows.length === 0) return count;
      after = rows.at(-1)!.id;
      count += await each(rows);
    }
  };

  return {
    async history(input) {
      const limit = Math.min(Math.max(1, input.limit), MOST);
      const found: EventPath[] = [];
      for (const head of streamsOf(input.stream)) found.push(...(await newest(known, head, input, limit)));
      found.sort((a, b) => a.acceptedAt - b.acceptedAt || a.offset - b.offset);
      return found.slice(-limit);
    },
    follow(input) {
      const [head] = streamsOf(input.stream);
      return follow(head!.stream, input, known.clock, headOf);
    },
    async replay({ stream: key, subscription, since, until, id }) {
      const [head] = streamsOf(key);
      const { stream } = head!;
      const all = [...head!.subscriptions].filter(
        (one) => subscription === undefined || one.spec.key === subscription,
      );
      if (subscription !== undefined && all.length === 0)
        throw new PetrelError('NotFound', `${subscription} is no subscription of ${key}`);
      const from = since === undefined ? stream.start : await stream.seek(since);
      return replay(stream, all, { from, to: head!.seen, id, until });
    },
    async dead({ subscription, namespace, limit, after, newest }) {
      const most = Math.min(Math.max(1, limit), MOST);
      const rows = state.dead({ subscription, namespace, after, newest, limit: most });
      return rows.map(({ id, subscription: key, stream, diedAt, attempts, status, reason, record }) => ({
        id,
        subscription: key,
        stream,
        at: diedAt,
        attempts,
        status,
        reason,
        event: headOfRecord(record),
      }));
    },
    redrive(input) {
      return eachGroup(input, async (rows) => {
        const byKey = Map.groupBy(rows, (row) => row.subscription);
        let count = 0;
        for (const [key, letters] of byKey) {
          const lane = known.lane(key);
          // Whose subscription is gone stays a dead letter.
          if (lane === undefined) continue;
          const due = known.clock.now();
          // First the new place, then the old one: in between a crash can only double it.
          await lane.parked.park(
            letters.map(({ subscription, stream, offset, at, record }) => ({
              subscription,
              stream,
              offset,
              at,
              attempts: 0,
              due,
              phase: 'subscriber' as const,
              record,
            })),
          );
          count += await state.exhume(letters.map(({ id }) => id));
        }
        return count;
      });
    },
    purge(input) {
      return eachGroup(input, (rows) => state.exhume(rows.map(({ id }) => id)));
    },
    async subscriptions({ namespace }) {
      const answer: Questions['subscriptions']['answer'] = {};
      for (const one of known.subscriptions()) {
        const { key } = one.spec;
        if (namespace === undefined || key.split('/')[1] === namespace) answer[key] = one.state;
      }
      return answer;
    },
    async streams({ namespace }) {
      const answer: Questions['streams']['answer'] = {};
      for (const [key, { head, accepted, refusals }] of known.streams()) {
        if (namespace !== undefined && key.split('/')[1] !== namespace) continue;
        const { stream } = head;
        const [first] = await stream.read(stream.start, 1);
        const refused = Object.values(refusals).reduce((sum, count) => sum + count, 0);
        const events = stream.end - stream.start;
        answer[key] = { events, bytes: stream.bytes, accepted, refused, refusals: { ...refusals } };
        if (first !== undefined) answer[key].oldest = first.at;
      }
      return answer;
    },
  };
}

/** The newest events of a stream that a question means, oldest first. */
async function newest(
  known: Known,
  head: Head,
  input: Questions['history']['input'],
  limit: number,
): Promise<EventPath[]> {
  const { stream } = head;
  const { matches } = compileFilters({ filters: input.filters as FilterSpec[] | undefined });
  const first = input.since === undefined ? stream.start : await stream.seek(input.since);
  let found: EventPath[] = [];
  let to = head.seen;
  for (let width = BACK; to > first && found.length < limit; width *= 2) {
    const range: Range = { from: Math.max(first, to - width), to, id: input.id };
    const part: EventPath[] = [];
    await readRange(stream, range, ({ event, offset, at }) => {
      if (input.type !== undefined && event.type !== input.type) return true;
      if (input.source !== undefined && event.source !== input.source) return true;
      if (!matches(event)) return true;
      part.push(pathOf(known, head, offset, at, event));
      if (part.length > limit) part.shift();
      return true;
    });
    found = [...part, ...found].slice(-limit);
    to = range.from;
  }
  return found;
}

/** Where an event is: what is remembered of it, and what positions and dead letters say where nothing is. */
function pathOf(known: Known, head: Head, offset: number, at: number, event: CloudEvent): EventPath {
  const stream = head.stream.spec.key;
  const steps = known.paths.of(stream, offset);
  let filtered = 0;
  for (const one of head.subscriptions) {
    const { key } = one.spec;
    // Not yet, or it came before its time.
    if (!one.looked(offset)) continue;
    if (!one.matches(event)) {
      if (filtered++ < FILTERED) steps.push({ at, subscription: key, what: 'filtered' });
      continue;
    }
    steps.push({ at, subscription: key, what: 'matched' });
    if (
      steps.some(
        ({ subscription, what }) => subscription === key && (what === 'delivered' || what === 'dead'),
      )
    )
      continue;
    const letter = deadLetterOf(known.state, key, offset);
    if (letter !== undefined)
      steps.push({
        at: letter.diedAt,
        subscription: key,
        what: 'dead',
        status: letter.status,
        attempt: letter.attempts,
        message: letter.reason,
      });
    else if (
      one.resolved(offset) &&
      !steps.some(({ subscription, what }) => subscription === key && what === 'retried')
    )
      // When that was is not remembered any more.
      steps.push({ at, subscription: key, what: 'delivered', message: 'the time is not known any more' });
  }
  steps.sort((a, b) => a.at - b.at || rank(a.what) - rank(b.what));
  return { stream, offset, acceptedAt: at, event: headOf(event), steps };
}

const ORDER = ['matched', 'filtered', 'retried', 'replied', 'delivered', 'dead'];
const rank = (what: string): number => ORDER.indexOf(what);

function deadLetterOf(state: EngineState, subscription: string, offset: number): DeadRow | undefined {
  // Few: those of one subscription, newest groups last.
  for (let after = 0; ; ) {
    const rows = state.dead({ subscription, after, limit: GROUP });
    const found = rows.find((row) => row.offset === offset);
    if (found !== undefined || rows.length < GROUP) return found;
    after = rows.at(-1)!.id;
  }
}

function headOfRecord(record: Buffer): EventHead {
  try {
    return headOf(decodeRecord(record));
  } catch {
    return headOf(makeEvent('', '', '', undefined, undefined, undefined, undefined, {}, record));
  }
}

/** An event as people see it. */
export function headOf(event: CloudEvent): EventHead {
  const { data, extensions, ...attributes } = event;
  const shown: EventHead['attributes'] = {};
  for (const [name, value] of Object.entries({ ...attributes, ...extensions }))
    if (value !== undefined) shown[name] = value;
  const head: EventHead = { attributes: shown, bytes: data?.length ?? 0 };
  if (data === undefined) return head;
  const part = data.subarray(0, SHOWN);
  if (isUtf8(part)) head.data = part.toString('utf8');
  else if (data.length > SHOWN && isUtf8(wholeCharacters(part)))
    head.data = wholeCharacters(part).toString('utf8');
  else {
    head.data = part.toString('base64');
    head.base64 = true;
  }
  return head;
}

/** Without the beginning of a character that was cut at the end. */
function wholeCharacters(part: Buffer): Buffer {
  let end = part.length;
  while (end > 0 && end > part.length - 4 && (part[end - 1]! & 0xc0) === 0x80) end--;
  return part.subarray(0, Math.max(0, end - 1));
}
