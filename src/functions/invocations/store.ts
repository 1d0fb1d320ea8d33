/** The invocations on disk: what changes them is committed in groups, what reads them sees what is committed. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { storageError } from '../../base/sqlite.ts';
import { type Committer, createCommitter } from '../../durable/committer.ts';
import { type Accepting, createAccepting } from './accepting.ts';
import { durable } from './file.ts';
import {
  type Attempt,
  type HeaderLine,
  type InvocationCommand,
  type InvocationResult,
  type InvocationRow,
  type NewInvocation,
  STATES,
  type StoredRequest,
  type StoredResult,
  type StoredState,
} from './types.ts';

/** Which invocations to list, newest first. */
export interface ListFilter {
  /** `<namespace>/<name>`; with a trailing slash, all of a namespace. */
  target?: string;
  states?: readonly StoredState[];
  /** Only older ones: `seq` of the last one seen. */
  before?: number;
  limit: number;
}

export interface InvocationStore extends Pick<Accepting, 'accept' | 'arriving' | 'settled'> {
  /** See `Committer.run`. */
  run(command: InvocationCommand): Promise<InvocationResult>;
  get(id: string): InvocationRow | undefined;
  request(seq: number): StoredRequest | undefined;
  result(seq: number): StoredResult | undefined;
  list(filter: ListFilter): InvocationRow[];
  /** Ids due at `now`, the earliest first. */
  due(target: string, now: number, limit: number): string[];
  /** When the next one of this target is due after `now`. */
  nextDue(target: string, now: number): number | undefined;
  /** Queued invocations by target. */
  queued(): Map<string, number>;
  /** When the next row may be removed. */
  nextExpiry(): number | undefined;
  close(): Promise<void>;
}

type Raw = Record<string, unknown>;

const toRow = (raw: Raw): InvocationRow => ({
  seq: Number(raw.seq),
  id: String(raw.id),
  target: String(raw.target),
  url: raw.url === null ? null : String(raw.url),
  state: STATES[Number(raw.state)] ?? 'dead',
  due: Number(raw.due),
  acceptedAt: Number(raw.accepted),
  finishedAt: raw.finished === null ? null : Number(raw.finished),
  depth: Number(raw.depth),
  failures: Number(raw.failures),
  attempts: JSON.parse(String(raw.attempts)) as Attempt[],
  reason: raw.reason === null ? null : String(raw.reason),
});

const QUEUED = STATES.indexOf('queued');

/** Outcomes of attempts: what is lost of them is attempted again. They are on disk with whatever is, or soon after. */
const LAZY: ReadonlySet<InvocationCommand['do']> = new Set(['retry', 'finish']);

/** About how many bytes a command writes. */
function sizeOf(command: InvocationCommand): number {
  const bodies =
    command.do === 'accept'
      ? command.invocations.map(({ request }) => request.body)
      : command.do === 'finish'
        ? [command.result?.body, ...command.follow.map(({ request }) => request.body)]
        : [];
  return bodies.reduce((sum, body) => sum + (body?.length ?? 0), 512);
}

export interface StoreOptions {
  /** The SQLite file. */
  path: string;
  clock: Clock;
  log: Logger;
  /** What was accepted is in the file now; also for what a crash left in the journal. */
  stored(invocation: NewInvocation): void;
}

/** Opens the file, making it when it is not there. Throws `PetrelError` when it cannot be used. */
export function openInvocationStore({ path, clock, log, stored }: StoreOptions): InvocationStore {
  const committer: Committer<InvocationCommand, InvocationResult> = createCommitter({
    path,
    file: durable,
    module: new URL('./file.ts', import.meta.url).href,
  });
  const { reader } = committer;
  const get = reader.prepare('SELECT * FROM invocation WHERE id = ?');
  const request = reader.prepare('SELECT method, path, headers, body FROM request WHERE seq = ?');
  const result = reader.prepare('SELECT status, headers, truncated, body FROM result WHERE seq = ?');
  const due = reader.prepare(
    `SELECT id FROM invocation WHERE state = ${QUEUED} AND target = ? AND due <= ? ORDER BY due, seq LIMIT ?`,
  );
  const nextDue = reader.prepare(
    `SELECT min(due) AS due FROM invocation WHERE state = ${QUEUED} AND target = ? AND due > ?`,
  );
  const queued = reader.prepare(
    `SELECT target, count(*) AS n FROM invocation WHERE state = ${QUEUED} GROUP BY target`,
  );
  const nextExpiry = reader.prepare('SELECT min(expires) AS at FROM invocation WHERE expires IS NOT NULL');
  const nextForgotten = reader.prepare('SELECT min(until) AS at FROM dedup');
  const known = reader.prepare('SELECT id FROM dedup WHERE target = ? AND key = ? AND until > ?');
  const journal = reader.prepare('SELECT id, upto FROM journal').get();
  let accepting: Accepting;
  try {
    accepting = createAccepting({
      path,
      journal: { id: Number(journal?.id), upTo: Number(journal?.upto) },
      clock,
      log,
      write: (command, terms) => committer.run(command, terms),
      known(target, key, at) {
        const id = known.get(target, key, at)?.id;
        return id === undefined ? undefined : String(id);
      },
      stored,
    });
  } catch (error) {
    void committer.close();
    throw storageError(error, path);
  }
  return {
    accept: accepting.accept,
    arriving: accepting.arriving,
    settled: accepting.settled,
    run(command) {
      if (LAZY.has(command.do)) accepting.syncSoon();
      return committer.run(command, {
        bytes: sizeOf(command),
        patient: LAZY.has(command.do),
        unsynced: LAZY.has(command.do),
      });
    },
    get(id) {
      const raw = get.get(id);
      return raw && toRow(raw);
    },
    request(seq) {
      const raw = request.get(seq);
      return (
        raw && {
          method: String(raw.method),
          path: String(raw.path),
          headers: JSON.parse(String(raw.headers)) as HeaderLine[],
          body: raw.body as Uint8Array,
        }
      );
    },
    result(seq) {
      const raw = result.get(seq);
      return (
        raw && {
          status: Number(raw.status),
          headers: JSON.parse(String(raw.headers)) as HeaderLine[],
          truncated: raw.truncated === 1,
          body: raw.body as Uint8Array,
        }
      );
    },
    list({ target, states, before, limit }) {
      const where: string[] = [];
      const values: (string | number)[] = [];
      if (target?.endsWith('/')) {
        where.push('target >= ? AND target < ?');
        values.push(target, `${target.slice(0, -1)}0`); // '0' follows '/'
      } else if (target !== undefined) {
        where.push('target = ?');
        values.push(target);
      }
      if (states !== undefined)
        where.push(`state IN (${states.map((state) => STATES.indexOf(state)).join(', ')})`);
      if (before !== undefined) {
        where.push('seq < ?');
        values.push(before);
      }
      const condition = where.length > 0 ? `WHERE ${where.join(' AND ')}` : '';
      return reader
        .prepare(`SELECT * FROM invocation ${condition} ORDER BY seq DESC LIMIT ?`)
        .all(...values, limit)
        .map(toRow);
    },
    due: (target, now, limit) => due.all(target, now, limit).map(({ id }) => String(id)),
    nextDue(target, now) {
      const at = nextDue.get(target, now)?.due;
      return typeof at === 'number' ? at : undefined;
    },
    queued: () => new Map(queued.all().map(({ target, n }) => [String(target), Number(n)])),
    nextExpiry() {
      const times = [nextExpiry.get()?.at, nextForgotten.get()?.at].filter((at) => typeof at === 'number');
      return times.length > 0 ? Math.min(...times) : undefined;
    },
    async close() {
      await accepting.close();
      await committer.close();
    },
  };
}
