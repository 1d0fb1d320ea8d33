/** Keyed state over HTTP: `/v1/kv/<key>`, `/v1/kv?prefix=`. */
import { answerJson, Refusal, readBody } from '../invocations/answers.ts';
import { bodyAsJson } from '../invocations/body.ts';
import {
  type Answer,
  type Asked,
  byMethod,
  conditionOf,
  DEFAULTS,
  expiryOf,
  listQueryOf,
  refusalFor,
  remover,
  typeOf,
  unchanged,
  valueHeaders,
} from './requests.ts';
import type { Entry, KeyedState } from './types.ts';

const notFound = () => new Refusal('not_found', 'there is nothing under this key');
const spaceOf = ({ space }: Asked): string => `kv/${space}`;
const maxKeysOf = ({ terms }: Asked): number => terms.maxKeys ?? DEFAULTS.maxKeys;
/** Bytes of values in one list; what comes after has to be asked for. */
const LISTED_BYTES = 4 * 1024 * 1024;

const read: Answer<KeyedState> = async (state, asked, response) => {
  const entry = await state.get(spaceOf(asked), asked.key);
  if (entry === undefined) throw notFound();
  if (unchanged(asked.request, entry.version)) return void response.writeHead(304, valueHeaders(entry)).end();
  response.writeHead(200, { ...valueHeaders(entry), 'content-length': entry.value.length });
  response.end(entry.value);
};

const write: Answer<KeyedState> = async (state, asked, response) => {
  const { request, terms } = asked;
  const [condition, expires, type] = [conditionOf(request), expiryOf(asked), typeOf(request)];
  const value = await readBody(request, terms.maxValueBytes ?? DEFAULTS.maxValueBytes, asked.hold);
  const result = await state.put(spaceOf(asked), asked.key, {
    value,
    type,
    condition,
    maxKeys: maxKeysOf(asked),
    ...(expires === undefined ? {} : { expires }),
  });
  if ('refused' in result) throw refusalFor(result.refused, asked);
  response
    .writeHead(result.created ? 201 : 204, {
      etag: `"${result.version}"`,
      ...(result.created ? { 'content-length': 0 } : {}),
    })
    .end();
};

const remove = remover<KeyedState>(spaceOf, notFound);

const add: Answer<KeyedState> = async (state, asked, response) => {
  const by = asked.query.get('increment') ?? '1';
  if (!/^-?\d{1,18}$/.test(by)) throw new Refusal('bad_request', 'increment is a whole number');
  asked.request.resume();
  const expires = expiryOf(asked);
  const result = await state.increment(spaceOf(asked), asked.key, BigInt(by), {
    maxKeys: maxKeysOf(asked),
    ...(expires === undefined ? {} : { expires }),
  });
  if ('refused' in result) throw refusalFor(result.refused, asked);
  const body = String(result.value);
  response.writeHead(200, {
    etag: `"${result.version}"`,
    'content-type': 'text/plain',
    'content-length': body.length,
  });
  response.end(body);
};

const list: Answer<KeyedState> = async (state, asked, response) => {
  const query = listQueryOf(asked);
  const entries = await state.list(spaceOf(asked), query);
  const withValues = asked.query.get('values') === 'true';
  const items: object[] = [];
  let bytes = 0;
  let last: Entry | undefined;
  for (const entry of entries) {
    bytes += withValues ? entry.value.length : 0;
    if (items.length > 0 && bytes > LISTED_BYTES) break;
    last = entry;
    items.push({
      key: entry.key,
      etag: `"${entry.version}"`,
      bytes: entry.value.length,
      type: entry.type,
      ...(entry.expires === undefined ? {} : { expiresAt: new Date(entry.expires).toISOString() }),
      ...(withValues ? bodyAsJson(entry.value) : {}),
    });
  }
  const more = items.length < entries.length || entries.length === query.limit;
  answerJson(response, 200, { items, ...(more && last ? { after: last.key } : {}) });
};

/** Answers a request for keyed state; rejects with `Refusal` or `PetrelError`. */
export const answerKeys = byMethod<KeyedState>(
  { GET: read, HEAD: read, PUT: write, POST: add, DELETE: remove },
  list,
);
