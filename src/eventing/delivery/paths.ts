/** What happened to single events lately, in bounded memory: for people who look where one is. Durable facts stand in positions and letters. */
import type { EventPath } from '../model.ts';

type Step = EventPath['steps'][number];

/** Outcomes other than plain delivered that are remembered. */
const NOTES = 8192;
/** Newest deliveries whose times are remembered. */
const DELIVERIES = 16_384;
/** Characters of a message. */
const MESSAGE = 300;

interface Row extends Step {
  stream: string;
  offset: number;
}

export interface Paths {
  /** Offsets below 0 stand in no stream, and are not noted. */
  note(
    stream: string,
    offset: number,
    subscription: string,
    what: Step['what'],
    more: { status?: number; attempt?: number; message?: string },
  ): void;
  delivered(
    stream: string,
    offset: number,
    subscription: string,
    status: number | undefined,
    attempt: number,
  ): void;
  /** What is remembered of one event, in order of time. */
  of(stream: string, offset: number): Step[];
}

export function createPaths(now: () => number): Paths {
  const notes: Row[] = [];
  let nextNote = 0;
  // Columns, made with the first delivery: each delivery writes numbers and two pointers, and allocates nothing.
  let columns:
    | {
        offset: Float64Array;
        at: Float64Array;
        status: Uint16Array;
        attempt: Uint16Array;
        stream: string[];
        subscription: string[];
      }
    | undefined;
  let nextDelivery = 0;

  return {
    note(stream, offset, subscription, what, { status, attempt, message }) {
      if (offset < 0) return;
      const row: Row = { stream, offset, at: now(), subscription, what };
      if (status !== undefined) row.status = status;
      if (attempt !== undefined) row.attempt = attempt;
      if (message !== undefined) row.message = message.slice(0, MESSAGE);
      notes[nextNote] = row;
      nextNote = (nextNote + 1) % NOTES;
    },
    delivered(stream, offset, subscription, status, attempt) {
      if (offset < 0) return;
      columns ??= {
        offset: new Float64Array(DELIVERIES).fill(-1),
        at: new Float64Array(DELIVERIES),
        status: new Uint16Array(DELIVERIES),
        attempt: new Uint16Array(DELIVERIES),
        stream: [],
        subscription: [],
      };
      const i = nextDelivery;
      columns.offset[i] = offset;
      columns.at[i] = now();
      columns.status[i] = status ?? 0;
      columns.attempt[i] = attempt;
      columns.stream[i] = stream;
      columns.subscription[i] = subscription;
      nextDelivery = (i + 1) % DELIVERIES;
    },
    of(stream, offset) {
      const steps: Step[] = [];
      for (const row of notes) {
        if (row.offset !== offset || row.stream !== stream) continue;
        const { stream: _, offset: __, ...step } = row;
        steps.push(step);
      }
      if (columns !== undefined)
        for (let i = 0; i < DELIVERIES; i++) {
          if (columns.offset[i] !== offset || columns.stream[i] !== stream) continue;
          const step: Step = {
            at: columns.at[i]!,
            subscription: columns.subscription[i]!,
            what: 'delivered',
          };
          if (columns.status[i] !== 0) step.status = columns.status[i]!;
          if (columns.attempt[i]! > 1) step.attempt = columns.attempt[i]!;
          steps.push(step);
        }
      return steps.sort((a, b) => a.at - b.at);
    },
  };
}
