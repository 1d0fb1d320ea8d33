/** A repository in a registry: blobs and manifests. Source: OCI distribution specification 1.1; tokens as Docker's registries hand them out. */
import { PetrelError } from '../errors.ts';
import { type Incoming, type Outgoing, send, textOf } from '../outgoing.ts';

export interface RegistryOptions {
  url: URL;
  repository: string;
  /** `user:password`, for registries that ask. */
  login?: string;
}

/** Bytes that a registry addresses by their digest. */
export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

export type BlobBody = { path: string; bytes: number } | string;

export interface Registry {
  /** Size of a blob, undefined when it is not there. */
  blobSize(digest: string): Promise<number | undefined>;
  /** Uploads a blob unless it is there. */
  putBlob(digest: string, body: BlobBody): Promise<void>;
  readBlob(digest: string): Promise<{ bytes: number; stream: AsyncIterable<Uint8Array> } | undefined>;
  /** A manifest by tag or digest. */
  manifest(reference: string): Promise<{ mediaType: string; digest: string; text: string } | undefined>;
  putManifest(reference: string, mediaType: string, text: string): Promise<void>;
  deleteManifest(digest: string): Promise<void>;
  /** All tags, a page at a time. */
  tags(): AsyncIterable<string>;
}

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const ACCEPTED = [
  MANIFEST_TYPE,
  INDEX_TYPE,
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ');
/** A manifest is a page of text. */
const MAX_MANIFEST = 4 * 1024 * 1024;
const MAX_REDIRECTS = 3;

/** `Bearer realm="…",service="…",scope="…"` as a map. */
function challengeOf(header: string): { scheme: string; values: Record<string, string> } {
  const [scheme = ''] = header.split(' ', 1);
  const values = Object.fromEntries(
    [...header.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]),
  );
  return { scheme: scheme.toLowerCase(), values };
}

export function createRegistry({ url: base, repository, login }: RegistryOptions): Registry {
  const place = `${base.host}/${repository}`;
  const basic = login === undefined ? undefined : `Basic ${Buffer.from(login).toString('base64')}`;
  /** What the registry wants to see. */
  let authorization: string | undefined;

  const failed = async ({ status, stream }: Incoming, doing: string): Promise<PetrelError> => {
    const said = (await textOf(stream, 4096)).trim();
    const why = `${base.host} answered ${status}${said ? `: ${said}` : ''}`;
    return status === 401 || status === 403
      ? new PetrelError('Unauthorized', `${place} refuses to ${doing}`, {
          why,
          fix: `log in (docker login ${base.host}), so that ~/.docker/config.json of the platform's user has its name and password`,
        })
      : new PetrelError('NotReady', `${place} could not ${doing}`, {
          why,
          fix: 'check the reference, or try again later',
        });
  };

  /** Asks whoever the registry trusts for a token. */
  const authorize = async ({ headers }: Incoming): Promise<boolean> => {
    const { scheme, values } = challengeOf(String(headers['www-authenticate'] ?? ''));
    if (scheme === 'basic' && basic !== undefined && authorization !== basic) {
      authorization = basic;
      return true;
    }
    if (scheme !== 'bearer' || !values.realm) return false;
    const url = new URL(values.realm);
    for (const key of ['service', 'scope']) if (values[key]) url.searchParams.set(key, values[key]);
    // A password goes to the registry's own host or over TLS, nowhere else.
    const trusted = url.protocol === 'https:' || url.host === base.host;
    const answer = await send({
      method: 'GET',
      url,
      headers: basic && trusted ? { authorization: basic } : {},
    });
    const text = await textOf(answer.stream);
    if (answer.status !== 200) return false;
    const { token, access_token } = JSON.parse(text) as { token?: string; access_token?: string };
    authorization = `Bearer ${token ?? access_token ?? ''}`;
    return true;
  };

  const call = async (request: Omit<Outgoing, 'url'> & { path: string | URL }): Promise<Incoming> => {
    const { path, ...rest } = request;
    const url = path instanceof URL ? path : new URL(`/v2/${repository}/${path}`, base);
    for (let attempt = 0; ; attempt++) {
      const own: Record<string, string> = url.host === base.host && authorization ? { authorization } : {};
      const answer = await send({ ...rest, url, headers: { ...rest.headers, ...own } }).catch(
        (error: Error) => {
          throw new PetrelError('NotReady', `${base.host} cannot be reached`, {
            why: error.message,
            fix: 'check the reference and the network',
            cause: error,
          });
        },
      );
      if (answer.status !== 401 || attempt > 0 || !(await authorize(answer))) return answer;
      answer.stream.resume();
    }
  };

  const expect = async (doing: string, request: Parameters<typeof call>[0]): Promise<Incoming> => {
    const answer = await call(request);
    if (answer.status >= 300) throw await failed(answer, doing);
    return answer;
  };

  const registry: Registry = {
    async blobSize(digest) {
      const answer = await call({ method: 'HEAD', path: `blobs/${digest}` });
      answer.stream.resume();
      if (answer.status === 404) return undefined;
      if (answer.status !== 200) throw await failed(answer, 'look for a blob');
      return Number(answer.headers['content-length']);
    },
    async putBlob(digest, body) {
      if ((await registry.blobSize(digest)) !== undefined) return;
      const begun = await expect('begin an upload', { method: 'POST', path: 'blobs/uploads/' });
      begun.stream.resume();
      const location = new URL(begun.headers.location ?? '', base);
      location.searchParams.set('digest', digest);
      const done = await expect('take a blob', {
        method: 'PUT',
        path: location,
        headers: { 'content-type': 'application/octet-stream' },
        body: typeof body === 'string' ? body : { path: body.path, start: 0, bytes: body.bytes },
      });
      done.stream.resume();
    },
    async readBlob(digest) {
      let answer = await call({ method: 'GET', path: `blobs/${digest}` });
      for (let hops = 0; answer.status >= 300 && answer.status < 400 && hops < MAX_REDIRECTS; hops++) {
        answer.stream.resume();
        answer = await call({ method: 'GET', path: new URL(answer.headers.location ?? '', base) });
      }
      if (answer.status === 404) {
        answer.stream.resume();
        return undefined;
      }
      if (answer.status !== 200) throw await failed(answer, 'hand out a blob');
      return { bytes: Number(answer.headers['content-length']), stream: answer.stream };
    },
    async manifest(reference) {
      const answer = await call({
        method: 'GET',
        path: `manifests/${reference}`,
        headers: { accept: ACCEPTED },
      });
      if (answer.status === 404) {
        answer.stream.resume();
        return undefined;
      }
      if (answer.status !== 200) throw await failed(answer, `hand out ${reference}`);
      const mediaType = String(answer.headers['content-type'] ?? MANIFEST_TYPE).split(';')[0] ?? '';
      const text = await textOf(answer.stream, MAX_MANIFEST);
      return { mediaType, digest: String(answer.headers['docker-content-digest'] ?? reference), text };
    },
    async putManifest(reference, mediaType, text) {
      const headers = { 'content-type': mediaType };
      (
        await expect('take a manifest', {
          method: 'PUT',
          path: `manifests/${reference}`,
          headers,
          body: text,
        })
      ).stream.resume();
    },
    async deleteManifest(digest) {
      const answer = await call({ method: 'DELETE', path: `manifests/${digest}` });
      if (answer.status >= 300 && answer.status !== 404) throw await failed(answer, 'remove a manifest');
      answer.stream.resume();
    },
    async *tags() {
      let path: string | URL | undefined = 'tags/list?n=500';
      while (path !== undefined) {
        const answer: Incoming = await call({ method: 'GET', path });
        const text = await textOf(answer.stream, MAX_MANIFEST);
        if (answer.status === 404) return;
        if (answer.status !== 200) throw await failed(answer, 'list tags');
        yield* (JSON.parse(text) as { tags?: string[] | null }).tags ?? [];
        const next = /<([^>]+)>;\s*rel="?next"?/.exec(String(answer.headers.link ?? ''))?.[1];
        path = next === undefined ? undefined : new URL(next, base);
      }
    },
  };
  return registry;
}
