/** How sources and sinks reach a bucket that speaks S3, in path style so that any endpoint will do. Source: Amazon S3 API Reference. */
import { createHash } from 'node:crypto';
import { type Incoming, send, textOf } from '../../base/outgoing.ts';
import { EMPTY_HASH, encode, sign } from '../../base/s3/signature.ts';
import { elements } from '../../base/s3/xml.ts';
import type { Fields, Read } from './fields.ts';

export const S3_FIELDS = {
  endpoint: {
    is: 'text',
    required: true,
    form: /^https?:\/\/[^@\s/]+\/?$/,
    formHint: 'must be an http or https URL without a path',
    what: 'the service, `https://s3.eu-central-1.amazonaws.com`',
  },
  bucket: { is: 'text', required: true, what: 'the bucket' },
  region: { is: 'text', default: 'us-east-1', what: 'the region' },
  accessKeyId: { is: 'text', required: true, what: 'the access key' },
  secretAccessKey: { is: 'text', required: true, what: 'its secret' },
  sessionToken: { is: 'text', what: 'the session token of temporary credentials' },
} as const satisfies Fields;

export interface S3Object {
  key: string;
  etag: string;
  bytes: number;
  /** Milliseconds since the epoch, whole seconds in most services. */
  modifiedAt: number;
}

export interface Bucket {
  /** Objects in the order of their keys. */
  list(prefix: string, signal?: AbortSignal): AsyncGenerator<S3Object>;
  /** Undefined: it is gone. */
  get(key: string): Promise<{ data: Buffer; contentType: string | undefined } | undefined>;
  put(
    key: string,
    data: Buffer,
    contentType: string | undefined,
    metadata: Record<string, string>,
  ): Promise<void>;
  remove(key: string): Promise<void>;
}

/** What the service said no with. */
export class S3Refused extends Error {
  readonly code: string;
  readonly status: number;
  constructor(status: number, code: string, said: string) {
    super(`${code}${said === '' ? '' : `: ${said}`}`);
    this.name = 'S3Refused';
    this.code = code;
    this.status = status;
  }
}

/** Requests end when `cut` aborts. */
export function openBucket(config: Read<typeof S3_FIELDS>, now: () => number, cut?: AbortSignal): Bucket {
  const { bucket, region, accessKeyId, secretAccessKey, sessionToken } = config;
  const call = async (
    method: string,
    key: string,
    query: Record<string, string> = {},
    body?: Buffer,
    extra: Record<string, string> = {},
  ): Promise<Incoming> => {
    const url = new URL(`${config.endpoint.replace(/\/$/, '')}/${encode(bucket)}`);
    if (key !== '') url.pathname += `/${key.split('/').map(encode).join('/')}`;
    url.search = Object.entries(query)
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .join('&');
    const payloadHash = body === undefined ? EMPTY_HASH : createHash('sha256').update(body).digest('hex');
    const credentials = {
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
    };
    const headers = sign({ method, url, headers: extra, payloadHash }, credentials, { region, now: now() });
    const answer = await send({
      method,
      url,
      headers,
      ...(body === undefined ? {} : { body }),
      ...(cut === undefined ? {} : { signal: cut }),
    });
    if (answer.status < 300) return answer;
    const text = await textOf(answer.stream);
    const [code = `HTTP ${answer.status}`] = elements(text, 'Code');
    throw new S3Refused(answer.status, code, elements(text, 'Message')[0] ?? '');
  };
  return {
    async *list(prefix, signal) {
      let token: string | undefined;
      do {
        const query = {
          'list-type': '2',
          prefix,
          ...(token === undefined ? {} : { 'continuation-token': token }),
        };
        const page = await textOf((await call('GET', '', query)).stream, 8 * 1024 * 1024);
        for (const item of elements(page, 'Contents')) {
          const of = (name: string) => elements(item, name)[0] ?? '';
          yield {
            key: of('Key'),
            etag: of('ETag').replaceAll('"', ''),
            bytes: Number(of('Size')),
            modifiedAt: Date.parse(of('LastModified')),
          };
        }
        token =
          elements(page, 'IsTruncated')[0] === 'true'
            ? elements(page, 'NextContinuationToken')[0]
            : undefined;
      } while (token !== undefined && !signal?.aborted);
    },
    async get(key) {
      try {
        const { stream, headers } = await call('GET', key);
        const parts: Uint8Array[] = [];
        for await (const part of stream) parts.push(part);
        return { data: Buffer.concat(parts), contentType: headers['content-type'] };
      } catch (error) {
        if (error instanceof S3Refused && error.code === 'NoSuchKey') return undefined;
        throw error;
      }
    },
    async put(key, data, contentType, metadata) {
      const named = Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value]);
      const type = contentType === undefined ? {} : { 'content-type': contentType };
      (await call('PUT', key, {}, data, { ...type, ...Object.fromEntries(named) })).stream.resume();
    },
    async remove(key) {
      (await call('DELETE', key)).stream.resume();
    },
  };
}

export const s3Name = (config: Read<typeof S3_FIELDS>): string =>
  `bucket ${config.bucket} at ${config.endpoint}`;

/** The reason of a refusal. */
export function s3Reason(error: unknown): string | undefined {
  if (!(error instanceof S3Refused)) return undefined;
  if (error.code === 'NoSuchBucket') return 'BucketNotFound';
  return error.status === 401 || error.status === 403 ? 'Unauthorized' : undefined;
}
