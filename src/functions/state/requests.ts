/** What requests for keys and blobs have in common: whose, which key, on what condition, until when. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FunctionState } from '../../kinds/function.ts';
import { Refusal } from '../invocations/answers.ts';
import type { Condition, KeyedState, ListQuery } from './types.ts';

/** Default bounds of a keyspace; as `FunctionState` promises. */
export const DEFAULTS = { maxValueBytes: 262_144, maxKeys: 10_000, ttlSeconds: 0 } as const;
const LIMITS = { key: 512, list: { usual: 100, most: 1000 }, ttl: 3650 * 86_400, type: 256 } as const;

/** A request to one keyspace. */
export interface Asked {
  request: IncomingMessage;
  method: string;
  /** Empty: the whole space. */
  key: string;
  query: URLSearchParams;
  /** `<namespace>/<keyspace>`. */
  space: string;
  terms: FunctionState;
  now: number;
  /** Told of every part of a body that is held in memory. Throws `Refusal` when that is too much in all. */
  hold(bytes: number): void;
}

/** The key in a path. Throws `Refusal`. */
export function keyOf(encoded: string): string {
  let key: string;
  try {
    key = decodeURIComponent(encoded);
  } catch {
    throw new Refusal('bad_request', 'the key is not encoded as a path');
  }
  if (Buffer.byteLength(key) > LIMITS.key)
    throw new Refusal('bad_request', `a key has at most ${LIMITS.key} bytes`);
  if (/[\0-\x1f\x7f]/.test(key)) throw new Refusal('bad_request', 'a key has no control characters');
  return key;
}

const tagOf = (header: string): string => {
  const tag = header.trim();
  if (tag === '*') return tag;
  const quoted = /^(?:W\/)?"([^"]*)"$/.exec(tag)?.[1];
  if (quoted === undefined || tag.includes(','))
    throw new Refusal('bad_request', 'a condition is one entity tag in quotes, or *');
  return quoted;
};

/** The condition of a write: `If-Match` with a tag or `*`, or `If-None-Match: *`. */
export function conditionOf({ headers }: IncomingMessage): Condition {
  const match = headers['if-match'];
  const none = headers['if-none-match'];
  if (none !== undefined && none.trim() !== '*')
    throw new Refusal('bad_request', 'a write knows If-None-Match: * only');
  return {
    ...(match === undefined ? {} : { match: tagOf(match) }),
    ...(none === undefined ? {} : { absent: true }),
  };
}

/** Whether a reader has this version already: `If-None-Match`. Source: RFC 9110, 13.1.2. */
export function unchanged({ headers }: IncomingMessage, version: string): boolean {
  const none = headers['if-none-match'];
  if (none === undefined) return false;
  return (
    none.trim() === '*' || none.split(',').some((tag) => tag.trim().replace(/^W\//, '') === `"${version}"`)
  );
}

/** When what is written expires, milliseconds since the epoch: `?ttl=<seconds>`, 0 for never, else the keyspace's own. */
export function expiryOf({ query, terms, now }: Asked): number | undefined {
  const text = query.get('ttl');
  if (text !== null && !/^\d{1,9}$/.test(text))
    throw new Refusal('bad_request', 'ttl is a whole number of seconds, 0 for ever');
  const seconds = text === null ? (terms.defaultTtlSeconds ?? DEFAULTS.ttlSeconds) : Number(text);
  if (seconds > LIMITS.ttl) throw new Refusal('bad_request', `ttl is at most ${LIMITS.ttl} seconds`);
  return seconds === 0 ? undefined : now + seconds * 1000;
}

/** The media type given, fit for being said again. */
export function typeOf({ headers }: IncomingMessage): string {
  const type = headers['content-type'] ?? 'application/octet-stream';
  if (type.length > LIMITS.type)
    throw new Refusal('bad_request', `a content type has at most ${LIMITS.type} characters`);
  return type;
}

/** `?prefix=&after=&limit=`. */
export function listQueryOf({ query }: Asked): ListQuery {
  const limit = query.get('limit') ?? String(LIMITS.list.usual);
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > LIMITS.list.most)
    throw new Refusal('bad_request', `limit is between 1 and ${LIMITS.list.most}`);
  const after = query.get('after');
  return {
    prefix: query.get('prefix') ?? '',
    ...(after === null ? {} : { after }),
    limit: Number(limit),
  };
}

/** Headers that tell of a value. */
export function valueHeaders(value: {
  version: string;
  type: string;
  expires?: number;
}): Record<string, string> {
  return {
    etag: `"${value.version}"`,
    'content-type': value.type,
    'cache-control': 'no-store',
    ...(value.expires === undefined ? {} : { 'x-petrel-expires': new Date(value.expires).toISOString() }),
  };
}

/** The refusal of a write as a client sees it. */
export function refusalFor(why: 'condition' | 'full' | 'not_a_number', { terms }: Asked): Refusal {
  if (why === 'condition') return new Refusal('precondition_failed', 'the version is another one');
  if (why === 'not_a_number') return new Refusal('conflict', 'what is there is no whole number of 64 bits');
  const most = terms.maxKeys ?? DEFAULTS.maxKeys;
  return new Refusal('disk_full', `the keyspace is full: it has ${most} keys, as spec.state.maxKeys allows`);
}

/** Answers one request to a kind of state; rejects with `Refusal` or `PetrelError`. */
export type Answer<State> = (state: State, asked: Asked, response: ServerResponse) => Promise<void>;

/** Answers by method: those for a key, and `GET` of the whole space. */
export function byMethod<State>(onKey: Record<string, Answer<State>>, list: Answer<State>): Answer<State> {
  const onSpace: Record<string, Answer<State>> = { GET: list };
  return async (state, asked, response) => {
    const answers = asked.key === '' ? onSpace : onKey;
    const answer = answers[asked.method];
    if (answer === undefined)
      throw new Refusal('method_not_allowed', `${asked.method} is not for this path`, {
        allow: Object.keys(answers).join(', '),
      });
    await answer(state, asked, response);
  };
}

/** Deletes what is under a key. */
export const remover =
  <State extends Pick<KeyedState, 'delete'>>(
    spaceOf: (asked: Asked) => string,
    notFound: () => Refusal,
  ): Answer<State> =>
  async (state, asked, response) => {
    const result = await state.delete(spaceOf(asked), asked.key, conditionOf(asked.request));
    if (result === undefined) throw notFound();
    if (result !== true) throw refusalFor(result.refused, asked);
    response.writeHead(204).end();
  };
