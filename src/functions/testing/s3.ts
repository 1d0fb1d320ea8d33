/** A small S3 for tests, in memory: it believes no signature that it has not computed itself. */
import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const KEYS = { accessKeyId: 'test-key', secretAccessKey: 'test/secret+key' };

interface Kept {
  body: Buffer;
  at: number;
}

/** The signature that the request ought to have, from its bytes on the wire. */
function expected(request: IncomingMessage, authorization: string): string {
  const [, scope = '', signed = ''] =
    /Credential=[^/]+\/([^,]+),\s*SignedHeaders=([^,]+)/.exec(authorization) ?? [];
  const [day = '', region = ''] = scope.split('/');
  const [path = '', query = ''] = (request.url ?? '').split('?');
  const canonical = [
    request.method,
    path,
    query === ''
      ? ''
      : query
          .split('&')
          .map((part) => (part.includes('=') ? part : `${part}=`))
          .sort()
          .join('&'),
    ...signed.split(';').map((name) => `${name}:${request.headers[name]}`),
    '',
    signed,
    request.headers['x-amz-content-sha256'],
  ].join('\n');
  const digest = createHash('sha256').update(canonical).digest('hex');
  const text = `AWS4-HMAC-SHA256\n${request.headers['x-amz-date']}\n${scope}\n${digest}`;
  let key: string | Buffer = `AWS4${KEYS.secretAccessKey}`;
  for (const part of [day, region, 's3', 'aws4_request'])
    key = createHmac('sha256', key).update(part).digest();
  return createHmac('sha256', key).update(text).digest('hex');
}

/** Starts it with one bucket. `now` dates what is kept; `busy` makes that many requests fail first. */
export async function startS3(
  t: { after(end: () => void): void },
  bucket = 'packages',
  now: () => number = Date.now,
) {
  const objects = new Map<string, Kept>();
  const uploads = new Map<string, Map<number, Buffer>>();
  const requests: string[] = [];
  const state = { busy: 0, pageSize: 2 };
  let ids = 0;

  const refuse = (response: ServerResponse, status: number, code: string) =>
    response
      .writeHead(status, { 'content-type': 'application/xml' })
      .end(`<Error><Code>${code}</Code><Message>said so</Message></Error>`);

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    const url = new URL(request.url ?? '/', 'http://s3');
    const [, name = '', ...rest] = url.pathname.split('/').map(decodeURIComponent);
    const key = rest.join('/');
    const query = url.searchParams;
    requests.push(`${request.method} ${key}${url.search}`);
    if (state.busy-- > 0) return refuse(response, 503, 'SlowDown');
    const authorization = request.headers.authorization ?? '';
    if (/Signature=(\w+)$/.exec(authorization)?.[1] !== expected(request, authorization))
      return refuse(response, 403, 'SignatureDoesNotMatch');
    if (createHash('sha256').update(body).digest('hex') !== request.headers['x-amz-content-sha256'])
      return refuse(response, 400, 'XAmzContentSHA256Mismatch');
    if (name !== bucket) return refuse(response, 404, 'NoSuchBucket');
    if (query.get('list-type') === '2') {
      const after = query.get('continuation-token') ?? '';
      const keys = [...objects.keys()]
        .filter((one) => one.startsWith(query.get('prefix') ?? '') && one > after)
        .sort();
      const page = keys.slice(0, state.pageSize);
      const more = keys.length > page.length;
      const contents = page.map((one) => {
        const { body: kept, at } = objects.get(one) as Kept;
        return `<Contents><Key>${one}</Key><LastModified>${new Date(at).toISOString()}</LastModified><Size>${kept.length}</Size></Contents>`;
      });
      return response.end(
        `<ListBucketResult><IsTruncated>${more}</IsTruncated>${contents.join('')}${more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ''}</ListBucketResult>`,
      );
    }
    const id = query.get('uploadId') ?? '';
    if (request.method === 'POST' && query.has('uploads')) {
      uploads.set(`u${++ids}`, new Map());
      return response.end(
        `<InitiateMultipartUploadResult><UploadId>u${ids}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    if (request.method === 'PUT' && id !== '') {
      uploads.get(id)?.set(Number(query.get('partNumber')), body);
      return response.writeHead(200, { etag: `"${createHash('md5').update(body).digest('hex')}"` }).end();
    }
    if (request.method === 'POST' && id !== '') {
      const given = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map(([, n]) =>
        Number(n),
      );
      const all = given.map((n) => uploads.get(id)?.get(n) ?? Buffer.alloc(0));
      uploads.delete(id);
      objects.set(key, { body: Buffer.concat(all), at: now() });
      return response.end('<CompleteMultipartUploadResult></CompleteMultipartUploadResult>');
    }
    if (request.method === 'DELETE') {
      if (id === '') objects.delete(key);
      else uploads.delete(id);
      return response.writeHead(204).end();
    }
    const source = request.headers['x-amz-copy-source'];
    if (request.method === 'PUT') {
      const from =
        typeof source === 'string'
          ? objects.get(decodeURIComponent(source).slice(bucket.length + 2))
          : undefined;
      objects.set(key, { body: from?.body ?? body, at: now() });
      return response.end();
    }
    const found = objects.get(key);
    if (found === undefined) return refuse(response, 404, 'NoSuchKey');
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const part = from === undefined ? found.body : found.body.subarray(Number(from), Number(to) + 1);
    response.writeHead(from === undefined ? 200 : 206, { 'content-length': part.length });
    return response.end(request.method === 'HEAD' ? undefined : part);
  };

  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { endpoint, bucket, objects, uploads, requests, state };
}
