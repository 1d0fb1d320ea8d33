/** Blobs over HTTP: `/v1/blobs/<key>` with ranges, `/v1/blobs?prefix=`. */
import { pipeline } from 'node:stream/promises';
import { answerJson, Refusal } from '../invocations/answers.ts';
import {
  type Answer,
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
import type { BlobInfo, BlobState } from './types.ts';

/** Bytes of a blob. */
const LARGEST = 5 * 1024 ** 3;

const notFound = () => new Refusal('not_found', 'there is no blob under this key');
const headersOf = (info: BlobInfo): Record<string, string> => ({
  ...valueHeaders(info),
  'accept-ranges': 'bytes',
  'last-modified': new Date(info.modified).toUTCString(),
});

/**
 * The one range that is asked for, both ends counted; undefined: the whole. Several ranges are answered with the whole, as is a
 * header that is none. Throws `Refusal` for a range that lies outside. Source: RFC 9110, 14.2.
 */
export function rangeOf(header: string | undefined, bytes: number): [from: number, to: number] | undefined {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (found === null || (found[1] === '' && found[2] === '')) return undefined;
  const outside = () =>
    new Refusal('range_not_satisfiable', `the blob has ${bytes} bytes`, {
      'content-range': `bytes */${bytes}`,
    });
  if (found[1] === '') {
    const last = Math.min(Number(found[2]), bytes);
    if (last === 0) throw outside();
    return [bytes - last, bytes - 1];
  }
  const from = Number(found[1]);
  const to = found[2] === '' ? bytes - 1 : Math.min(Number(found[2]), bytes - 1);
  if (from >= bytes) throw outside();
  return to < from ? undefined : [from, to];
}

const read: Answer<BlobState> = async (state, asked, response) => {
  const { request, space, key, method } = asked;
  const info = await state.stat(space, key);
  if (info === undefined) throw notFound();
  if (unchanged(request, info.version)) return void response.writeHead(304, headersOf(info)).end();
  const ifRange = request.headers['if-range'];
  const wanted = ifRange === undefined || ifRange === `"${info.version}"` ? request.headers.range : undefined;
  const range = method === 'GET' ? rangeOf(wanted, info.bytes) : undefined;
  const [from, to] = range ?? [0, info.bytes - 1];
  const headers = {
    ...headersOf(info),
    'content-length': to - from + 1,
    ...(range ? { 'content-range': `bytes ${from}-${to}/${info.bytes}` } : {}),
  };
  if (method === 'HEAD' || info.bytes === 0) return void response.writeHead(200, headers).end();
  const body = await state.read(info, space, from, to);
  if (body === undefined) throw notFound();
  response.writeHead(range ? 206 : 200, headers);
  await pipeline(body, response);
};

const write: Answer<BlobState> = async (state, asked, response) => {
  const { request, space, key, terms } = asked;
  if (Number(request.headers['content-length'] ?? 0) > LARGEST)
    throw new Refusal('body_too_large', `a blob has at most ${LARGEST} bytes`);
  const expires = expiryOf(asked);
  const result = await state.put(space, key, {
    body: request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>,
    type: typeOf(request),
    condition: conditionOf(request),
    maxKeys: terms.maxKeys ?? DEFAULTS.maxKeys,
    maxBytes: LARGEST,
    ...(expires === undefined ? {} : { expires }),
  });
  if ('refused' in result) throw refusalFor(result.refused, asked);
  const { created, version, bytes } = result;
  answerJson(response, created ? 201 : 200, { bytes }, { etag: `"${version}"` });
};

const remove = remover<BlobState>(({ space }) => space, notFound);

const list: Answer<BlobState> = async (state, asked, response) => {
  const query = listQueryOf(asked);
  const infos = await state.list(asked.space, query);
  const items = infos.map(({ key, bytes, type, version, modified, expires }) => ({
    key,
    etag: `"${version}"`,
    bytes,
    type,
    modifiedAt: new Date(modified).toISOString(),
    ...(expires === undefined ? {} : { expiresAt: new Date(expires).toISOString() }),
  }));
  const last = infos.length === query.limit ? infos.at(-1)?.key : undefined;
  answerJson(response, 200, { items, ...(last === undefined ? {} : { after: last }) });
};

/** Answers a request for blobs; rejects with `Refusal` or `PetrelError`. */
export const answerBlobs = byMethod<BlobState>({ GET: read, HEAD: read, PUT: write, DELETE: remove }, list);
