/** `KubeClient` over any `KubeTransport`: paths, bodies, error answers, and the lines of a watch. */
import type { KubeObject, Status } from '../kinds/object.ts';
import {
  type KubeClient,
  KubeError,
  type ListOptions,
  type ObjectList,
  type PatchType,
  type ResourceRef,
  type WatchEvent,
  type WriteOptions,
} from './client.ts';
import { apiVersionOf, pathOf } from './refs.ts';
import type { KubeRequest, KubeResponse, KubeTransport } from './transport.ts';

const PATCH_CONTENT_TYPES: Record<PatchType, string> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
};

/** Longest line of a watch that is accepted, bytes; a server that sends more is broken or hostile. */
const MAX_WATCH_LINE = 64 * 1024 * 1024;

/** A client of the API behind `transport`. Every failure is a `KubeError`, except where there was no answer at all. */
export function createClient(transport: KubeTransport): KubeClient {
  const send = async <T>(
    method: KubeRequest['method'],
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<T> => {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (body !== undefined) headers['content-type'] = contentType ?? 'application/json';
    const response = await transport.request({
      method,
      path,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await readText(response);
    if (response.status >= 400) throw errorOf(response, text);
    return JSON.parse(text) as T;
  };

  return {
    get: (resource, namespace, name) => send('GET', pathOf(resource, namespace, name)),

    async list<T extends KubeObject>(
      resource: ResourceRef,
      options: ListOptions = {},
    ): Promise<ObjectList<T>> {
      const path = pathOf(resource, options.namespace) + query(listParameters(options));
      const list = await send<{
        metadata: { resourceVersion?: string; continue?: string };
        items: T[] | null;
      }>('GET', path);
      const items = list.items ?? [];
      // Items of a list carry no type of their own where the server is Kubernetes'.
      for (const item of items) {
        item.apiVersion ??= apiVersionOf(resource);
        item.kind ??= resource.kind;
      }
      return {
        items,
        resourceVersion: list.metadata.resourceVersion ?? '',
        continue: list.metadata.continue || undefined,
      };
    },

    async *watch<T extends KubeObject>(
      resource: ResourceRef,
      options: ListOptions & { signal?: AbortSignal; allowWatchBookmarks?: boolean },
    ): AsyncGenerator<WatchEvent<T>> {
      const parameters = { ...listParameters(options), watch: 'true' } as Record<string, string>;
      if (options.allowWatchBookmarks) parameters.allowWatchBookmarks = 'true';
      const response = await transport.request({
        method: 'GET',
        path: pathOf(resource, options.namespace) + query(parameters),
        headers: { accept: 'application/json' },
        signal: options.signal,
      });
      if (response.status >= 400) throw errorOf(response, await readText(response));
      for await (const line of lines(response.body)) yield JSON.parse(line) as WatchEvent<T>;
    },

    create: (resource, object, options) =>
      send(
        'POST',
        pathOf(resource, object.metadata.namespace) +
          query({ ...(options?.dryRun ? { dryRun: 'All' } : {}), ...strictness(options) }),
        object,
      ),

    update: (resource, object) =>
      send('PUT', pathOf(resource, object.metadata.namespace, object.metadata.name), object),

    updateStatus: (resource, object) =>
      send('PUT', pathOf(resource, object.metadata.namespace, object.metadata.name, 'status'), object),

    patch: (resource, namespace, name, type, patch, options) =>
      send(
        'PATCH',
        pathOf(resource, namespace, name, options?.subresource) +
          query({
            ...(options?.fieldManager ? { fieldManager: options.fieldManager } : {}),
            ...strictness(options),
          }),
        patch,
        PATCH_CONTENT_TYPES[type],
      ),

    async delete(resource, namespace, name, options) {
      const body = options && { apiVersion: 'v1', kind: 'DeleteOptions', ...options };
      await send('DELETE', pathOf(resource, namespace, name), body);
    },
  };
}

function listParameters(options: ListOptions): Record<string, string> {
  const parameters: Record<string, string> = {};
  if (options.labelSelector) parameters.labelSelector = options.labelSelector;
  if (options.fieldSelector) parameters.fieldSelector = options.fieldSelector;
  if (options.limit !== undefined) parameters.limit = String(options.limit);
  if (options.continue) parameters.continue = options.continue;
  if (options.resourceVersion !== undefined) parameters.resourceVersion = options.resourceVersion;
  return parameters;
}

function strictness(options: WriteOptions | undefined): Record<string, string> {
  return options?.strict ? { fieldValidation: 'Strict' } : {};
}

function query(parameters: Record<string, string>): string {
  const text = new URLSearchParams(parameters).toString();
  return text === '' ? '' : `?${text}`;
}

async function readText(response: KubeResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  const only = chunks.length === 1 ? chunks[0] : undefined;
  const all = only ? Buffer.from(only.buffer, only.byteOffset, only.byteLength) : Buffer.concat(chunks);
  return all.toString('utf8');
}

/** The failure an answer stands for: its Status where it carries one, else the HTTP status and the text. */
function errorOf(response: KubeResponse, text: string): KubeError {
  try {
    const status = JSON.parse(text) as Status;
    if (status.kind === 'Status') {
      return new KubeError(
        status.code ?? response.status,
        status.reason ?? 'Unknown',
        status.message ?? text,
        status,
      );
    }
  } catch {
    // Proxies in front of an API answer in plain text or HTML.
  }
  return new KubeError(
    response.status,
    'Unknown',
    `the API answered ${response.status}: ${text.slice(0, 500)}`,
  );
}

async function* lines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let kept: Buffer[] = [];
  let keptBytes = 0;
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
      const part = bytes.subarray(start, end);
      const line = keptBytes === 0 ? part.toString('utf8') : Buffer.concat([...kept, part]).toString('utf8');
      kept = [];
      keptBytes = 0;
      start = end + 1;
      if (line.trim() !== '') yield line;
    }
    if (start < bytes.length) {
      kept.push(bytes.subarray(start));
      keptBytes += bytes.length - start;
      if (keptBytes > MAX_WATCH_LINE) throw new Error(`a watch event is larger than ${MAX_WATCH_LINE} bytes`);
    }
  }
}
