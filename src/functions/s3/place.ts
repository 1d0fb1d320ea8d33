/**
 * A place in a bucket that speaks S3, addressed in path style so that any endpoint will do. Source: Amazon S3 API Reference; the few calls
 * that every implementation has.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { PetrelError } from '../../base/errors.ts';
import { type Incoming, type Outgoing, send, textOf } from '../../base/outgoing.ts';
import { type Credentials, EMPTY_HASH, encode, sign } from '../../base/s3/signature.ts';
import { elements } from '../../base/s3/xml.ts';

export interface PlaceOptions {
  /** `https://s3.eu-central-1.amazonaws.com`, `http://127.0.0.1:9000`. */
  endpoint: string;
  bucket: string;
  /** Of all keys; ends with `/` unless it is empty. */
  prefix: string;
  region: string;
  credentials: Credentials;
  /** What is kept there, for messages: `package store`. */
  what: string;
  /** Which setting of the platform names it. */
  setting: string;
  now?: () => number;
  /** Larger objects are sent in parts of this size, bytes; S3 takes no smaller ones than 5 MiB. */
  partBytes?: number;
}

/** One object as a list shows it; `key` without the prefix. */
export interface Listed {
  key: string;
  bytes: number;
  modifiedMs: number;
}

/** Objects below the prefix. Every method rejects with `PetrelError` `Unauthorized` or `NotReady` when the bucket does not do it. */
export interface Place {
  bytesOf(key: string): Promise<number | undefined>;
  /** A file; `hex` its SHA-256 where it is known. Nothing is seen under the key before all of it is there. */
  put(key: string, path: string, bytes: number, hex?: string): Promise<void>;
  putText(key: string, text: string): Promise<void>;
  text(key: string): Promise<string | undefined>;
  /** Undefined: there is none. Both ends are counted, from 0. */
  read(
    key: string,
    range?: { from: number; to: number },
  ): Promise<{ bytes: number; stream: IncomingMessage } | undefined>;
  /** Sets its time to now. */
  touch(key: string): Promise<void>;
  list(under: string): AsyncGenerator<Listed>;
  remove(key: string): Promise<void>;
}

const PART_BYTES = 16 * 1024 * 1024;
/** A request that the other side could not answer is sent again after this, ms. */
const AGAIN_MS = [200, 1000, 4000];
const BUSY = new Set([429, 500, 502, 503, 504]);

export function openPlace(options: PlaceOptions): Place {
  const { endpoint, bucket, prefix, region, credentials, what, setting } = options;
  const now = options.now ?? Date.now;
  const partBytes = options.partBytes ?? PART_BYTES;
  const place = `s3://${bucket}/${prefix}`;

  const urlOf = (key: string, query: Record<string, string> = {}): URL => {
    const url = new URL(`${endpoint.replace(/\/$/, '')}/${encode(bucket)}`);
    if (key !== '') url.pathname += `/${key.split('/').map(encode).join('/')}`;
    // Written out: what is signed and what is sent must be the same bytes.
    url.search = Object.entries(query)
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .join('&');
    return url;
  };

  const failed = async ({ status, stream }: Incoming, doing: string): Promise<PetrelError> => {
    const text = await textOf(stream);
    const [code = `HTTP ${status}`] = elements(text, 'Code');
    const [said = ''] = elements(text, 'Message');
    const why = `${new URL(endpoint).host} answered ${code}${said ? `: ${said}` : ''}`;
    if (status === 401 || status === 403)
      return new PetrelError('Unauthorized', `the ${what} ${place} refuses to ${doing}`, {
        why,
        fix: 'check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION of the platform, and what they may do there',
      });
    return new PetrelError('NotReady', `the ${what} ${place} could not ${doing}`, {
      why,
      fix: code === 'NoSuchBucket' ? `make the bucket ${bucket}, or correct ${setting}` : 'try again later',
    });
  };

  /** Signs and sends; again where the other side was busy or the connection broke. */
  const call = async (
    request: Omit<Outgoing, 'headers'> & { hash?: string; headers?: Record<string, string> },
  ): Promise<Incoming> => {
    const { method, url, hash: payloadHash = EMPTY_HASH, body } = request;
    for (let attempt = 0; ; attempt++) {
      const wait = AGAIN_MS[attempt];
      const headers = sign({ method, url, headers: request.headers ?? {}, payloadHash }, credentials, {
        region,
        now: now(),
      });
      try {
        const answer = await send({ method, url, headers, ...(body === undefined ? {} : { body }) });
        if (!BUSY.has(answer.status) || wait === undefined) return answer;
        answer.stream.resume();
      } catch (error) {
        if (wait === undefined)
          throw new PetrelError('NotReady', `the ${what} ${place} cannot be reached`, {
            why: (error as Error).message,
            fix: `check ${setting} of the platform, and the network`,
            cause: error,
          });
      }
      await sleep(wait);
    }
  };

  /** A call whose answer is short; undefined for 404. */
  const ask = async (
    doing: string,
    request: Parameters<typeof call>[0],
  ): Promise<{ text: string; answer: Incoming } | undefined> => {
    const answer = await call(request);
    if (answer.status === 404 && request.method !== 'PUT' && request.method !== 'POST') {
      const text = await textOf(answer.stream);
      // No such key is an answer; no such bucket is a mistake.
      if (elements(text, 'Code')[0] !== 'NoSuchBucket') return undefined;
    }
    if (answer.status >= 300) throw await failed(answer, doing);
    return { text: await textOf(answer.stream), answer };
  };

  const hashOf = async (path: string, start: number, bytes: number): Promise<string> => {
    const hash = createHash('sha256');
    for await (const part of createReadStream(path, { start, end: start + bytes - 1 }))
      hash.update(part as Buffer);
    return hash.digest('hex');
  };

  /** Nothing is seen under the key before the last part is there. */
  const putInParts = async (key: string, path: string, bytes: number): Promise<void> => {
    const begun = await ask('begin an upload', { method: 'POST', url: urlOf(key, { uploads: '' }) });
    const [uploadId = ''] = elements(begun?.text ?? '', 'UploadId');
    try {
      const parts: string[] = [];
      for (let start = 0; start < bytes; start += partBytes) {
        const length = Math.min(partBytes, bytes - start);
        const query = { partNumber: String(parts.length + 1), uploadId };
        const sent = await ask('take a part', {
          method: 'PUT',
          url: urlOf(key, query),
          hash: await hashOf(path, start, length),
          body: { path, start, bytes: length },
        });
        parts.push(sent?.answer.headers.etag ?? '');
      }
      const listed = parts.map(
        (etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`,
      );
      const body = `<CompleteMultipartUpload>${listed.join('')}</CompleteMultipartUpload>`;
      const hash = createHash('sha256').update(body).digest('hex');
      const done = await ask('complete an upload', {
        method: 'POST',
        url: urlOf(key, { uploadId }),
        hash,
        body,
      });
      // S3 begins to answer before it knows: an error may come with status 200.
      const [code] = elements(done?.text ?? '', 'Code');
      if (code !== undefined)
        throw new PetrelError('NotReady', `the ${what} ${place} could not complete an upload`, {
          why: code,
          fix: 'try again later',
        });
    } catch (error) {
      await call({ method: 'DELETE', url: urlOf(key, { uploadId }) })
        .then(({ stream }) => stream.resume())
        .catch(() => {});
      throw error;
    }
  };

  async function* listKeys(under: string): AsyncGenerator<Listed> {
    let token: string | undefined;
    do {
      const query = {
        'list-type': '2',
        prefix: prefix + under,
        ...(token ? { 'continuation-token': token } : {}),
      };
      const page = (await ask('list what is there', { method: 'GET', url: urlOf('', query) }))?.text ?? '';
      for (const item of elements(page, 'Contents')) {
        const [key = ''] = elements(item, 'Key');
        const bytes = Number(elements(item, 'Size')[0] ?? 0);
        yield {
          key: key.slice(prefix.length),
          bytes,
          modifiedMs: Date.parse(elements(item, 'LastModified')[0] ?? ''),
        };
      }
      token =
        elements(page, 'IsTruncated')[0] === 'true' ? elements(page, 'NextContinuationToken')[0] : undefined;
    } while (token !== undefined);
  }

  const urlAt = (key: string) => urlOf(prefix + key);

  return {
    async bytesOf(key) {
      const found = await ask('look for an object', { method: 'HEAD', url: urlAt(key) });
      return found && Number(found.answer.headers['content-length']);
    },
    async put(key, path, bytes, hex) {
      if (bytes > partBytes) return putInParts(prefix + key, path, bytes);
      const hash = hex ?? (bytes === 0 ? EMPTY_HASH : await hashOf(path, 0, bytes));
      await ask('take an object', { method: 'PUT', url: urlAt(key), hash, body: { path, start: 0, bytes } });
    },
    async putText(key, text) {
      const hash = createHash('sha256').update(text).digest('hex');
      await ask('take a note', { method: 'PUT', url: urlAt(key), hash, body: text });
    },
    text: async (key) => (await ask('look for a note', { method: 'GET', url: urlAt(key) }))?.text,
    async read(key, range) {
      const headers: Record<string, string> = range ? { range: `bytes=${range.from}-${range.to}` } : {};
      const answer = await call({ method: 'GET', url: urlAt(key), headers });
      if (answer.status === 404) {
        answer.stream.resume();
        return undefined;
      }
      if (answer.status !== (range ? 206 : 200)) throw await failed(answer, 'hand out an object');
      return { bytes: Number(answer.headers['content-length']), stream: answer.stream };
    },
    async touch(key) {
      const headers = {
        'x-amz-copy-source': `/${encode(bucket)}/${(prefix + key).split('/').map(encode).join('/')}`,
        'x-amz-metadata-directive': 'REPLACE',
      };
      await ask('touch an object', { method: 'PUT', url: urlAt(key), headers });
    },
    list: listKeys,
    async remove(key) {
      await ask('remove an object', { method: 'DELETE', url: urlAt(key) });
    },
  };
}
