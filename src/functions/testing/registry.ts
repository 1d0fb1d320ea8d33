/** A small OCI registry for tests, in memory. With a login it hands out tokens, as the public ones do, and believes nothing else. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export async function startRegistry(t: TestContext, options: { login?: string; pageSize?: number } = {}) {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, { type: string; body: Buffer }>();
  const tags = new Map<string, string>();
  const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const requests: string[] = [];
  let address = '';

  const refuse = (response: ServerResponse, status: number, code: string) =>
    response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(JSON.stringify({ errors: [{ code }] }));

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    const url = new URL(request.url ?? '/', 'http://registry');
    requests.push(`${request.method} ${url.pathname}`);
    const authorization = request.headers.authorization;
    if (url.pathname === '/token') {
      const right = `Basic ${Buffer.from(options.login ?? '').toString('base64')}`;
      return authorization === right
        ? response.end('{"token":"let-me-in"}')
        : refuse(response, 401, 'UNAUTHORIZED');
    }
    if (options.login && authorization !== 'Bearer let-me-in') {
      response.setHeader(
        'www-authenticate',
        `Bearer realm="http://${address}/token",service="test",scope="repository:x:pull,push"`,
      );
      return refuse(response, 401, 'UNAUTHORIZED');
    }
    const [, name = '', what = '', rest = ''] =
      /^\/v2\/(.+)\/(blobs|manifests|tags)\/(.*)$/.exec(url.pathname) ?? [];
    if (what === 'blobs' && request.method === 'POST')
      return response.writeHead(202, { location: `/v2/${name}/blobs/uploads/1?state=x` }).end();
    if (what === 'blobs' && request.method === 'PUT') {
      const digest = url.searchParams.get('digest') ?? '';
      if (sha256(body) !== digest) return refuse(response, 400, 'DIGEST_INVALID');
      blobs.set(digest, body);
      return response.writeHead(201).end();
    }
    if (what === 'blobs') {
      const found = blobs.get(rest);
      if (!found) return refuse(response, 404, 'BLOB_UNKNOWN');
      response.writeHead(200, { 'content-length': found.length });
      return response.end(request.method === 'HEAD' ? undefined : found);
    }
    if (what === 'manifests' && request.method === 'PUT') {
      const { config, layers = [] } = JSON.parse(body.toString()) as {
        config?: { digest: string };
        layers?: { digest: string }[];
      };
      for (const one of [config, ...layers])
        if (one && !blobs.has(one.digest)) return refuse(response, 400, 'MANIFEST_BLOB_UNKNOWN');
      const digest = sha256(body);
      manifests.set(digest, { type: request.headers['content-type'] ?? '', body });
      if (!rest.startsWith('sha256:')) tags.set(rest, digest);
      return response.writeHead(201, { 'docker-content-digest': digest }).end();
    }
    if (what === 'manifests') {
      const digest = tags.get(rest) ?? rest;
      const found = manifests.get(digest);
      if (!found) return refuse(response, 404, 'MANIFEST_UNKNOWN');
      if (request.method === 'DELETE') {
        manifests.delete(digest);
        for (const [tag, of] of tags) if (of === digest) tags.delete(tag);
        return response.writeHead(202).end();
      }
      response.writeHead(200, { 'content-type': found.type, 'docker-content-digest': digest });
      return response.end(found.body);
    }
    if (what === 'tags') {
      const last = url.searchParams.get('last') ?? '';
      const size = options.pageSize ?? 2;
      const all = [...tags.keys()].sort().filter((tag) => tag > last);
      const page = all.slice(0, size);
      if (all.length > size)
        response.setHeader('link', `</v2/${name}/tags/list?n=${size}&last=${page.at(-1)}>; rel="next"`);
      return response.end(JSON.stringify({ name, tags: page }));
    }
    return refuse(response, 404, 'UNKNOWN');
  };

  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { host: address, url: new URL(`http://${address}/`), blobs, manifests, tags, requests, sha256 };
}
