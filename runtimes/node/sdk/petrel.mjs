/**
 * The module `petrel` of functions that have state: keys and blobs that outlive instances, shared by all instances of the function and
 * by functions with the same keyspace. A thin client of the interface at PETREL_STATE_URL.
 */
// Not global fetch: loading it costs 30 ms and 6 MB.
const { Agent, request } = process.getBuiltinModule('node:http');

const agent = new Agent({ keepAlive: true, timeout: 30_000 });

/** What the platform answered instead of doing what it was asked. `reason`: `precondition_failed`, `body_too_large`, `disk_full`, `conflict` … */
export class StateError extends Error {
  constructor(status, { reason = 'unknown', message = '' } = {}) {
    super(message || `the state interface answered ${status}`);
    this.name = 'StateError';
    this.status = status;
    this.reason = reason;
  }
}

function send(method, path, { query = {}, headers = {}, body } = {}) {
  // Read when it is used: code may be loaded before an instance is told where its state is.
  const base = new URL(process.env.PETREL_STATE_URL);
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const search = given.length > 0 ? `?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}` : '';
  const streamed = typeof body?.[Symbol.asyncIterator] === 'function';
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: base.hostname,
        port: base.port,
        path: base.pathname + path + search,
        method,
        agent,
        headers: {
          authorization: `Bearer ${process.env.PETREL_STATE_TOKEN ?? ''}`,
          ...headers,
          ...(body === undefined || streamed ? {} : { 'content-length': body.length }),
        },
      },
      resolve,
    );
    outgoing.on('error', reject);
    if (!streamed) return void outgoing.end(body);
    process.getBuiltinModule('node:stream').pipeline(body, outgoing, (error) => error && reject(error));
  });
}

async function bytesOf(response) {
  const parts = [];
  for await (const part of response) parts.push(part);
  return Buffer.concat(parts);
}

/** Sends, reads the answer, and throws what is no success; undefined for 404 where that is an answer. */
async function ask(method, path, options = {}) {
  const response = await send(method, path, options);
  const bytes = await bytesOf(response);
  if (response.statusCode === 404 && options.missing) return undefined;
  if (response.statusCode >= 300) throw failure(response.statusCode, bytes);
  return { response, bytes };
}

function failure(status, bytes) {
  try {
    return new StateError(status, JSON.parse(bytes.toString()));
  } catch {
    return new StateError(status);
  }
}

const pathOf = (kind, key) => {
  if (typeof key !== 'string' || key === '') throw new TypeError('a key is a string that is not empty');
  return `/${kind}/${encodeURIComponent(key)}`;
};
const versionOf = ({ headers }) => headers.etag?.slice(1, -1);
const conditions = ({ ifVersion, ifAbsent }) => ({
  ...(ifVersion === undefined ? {} : { 'if-match': `"${ifVersion}"` }),
  ...(ifAbsent ? { 'if-none-match': '*' } : {}),
});

/** Text stays text, bytes stay bytes, everything else is JSON. */
function encode(value) {
  if (typeof value === 'string') return { body: Buffer.from(value), type: 'text/plain; charset=utf-8' };
  if (value instanceof Uint8Array) return { body: value, type: 'application/octet-stream' };
  const json = JSON.stringify(value);
  if (json === undefined)
    throw new TypeError('undefined and functions cannot be kept; state.delete(key) removes a key');
  return { body: Buffer.from(json), type: 'application/json' };
}

function decode(bytes, type = '') {
  if (type.startsWith('application/json')) return JSON.parse(bytes.toString());
  return type.startsWith('text/') ? bytes.toString() : bytes;
}

export const state = {
  /** The value, or undefined. */
  async get(key) {
    return (await state.entry(key))?.value;
  },
  /** `{ value, version, type, expires }`, or undefined. */
  async entry(key) {
    const found = await ask('GET', pathOf('kv', key), { missing: true });
    if (found === undefined) return undefined;
    const { headers } = found.response;
    const type = headers['content-type'];
    const expires = headers['x-petrel-expires'];
    return {
      value: decode(found.bytes, type),
      version: versionOf(found.response),
      type,
      expires: expires === undefined ? undefined : new Date(expires),
    };
  },
  /** Sets a key and returns its version. `ttl` in seconds; with `ifVersion` or `ifAbsent` it throws `precondition_failed` when that does not hold. */
  async set(key, value, options = {}) {
    const { body, type } = encode(value);
    const headers = { 'content-type': options.type ?? type, ...conditions(options) };
    const { response } = await ask('PUT', pathOf('kv', key), { body, headers, query: { ttl: options.ttl } });
    return versionOf(response);
  },
  /** Whether there was something to delete. */
  async delete(key, options = {}) {
    return (
      (await ask('DELETE', pathOf('kv', key), { missing: true, headers: conditions(options) })) !== undefined
    );
  },
  /** Adds to a whole number (0 where nothing is) in one step and returns the sum. */
  async increment(key, by = 1, { ttl } = {}) {
    const { bytes } = await ask('POST', pathOf('kv', key), {
      query: { increment: by, ttl },
      body: Buffer.alloc(0),
    });
    return Number(bytes.toString());
  },
  /** Sets what `change(value)` returns, again when somebody else was faster; undefined deletes. Resolves to the new value. */
  async update(key, change, options = {}) {
    for (;;) {
      const before = await state.entry(key);
      const value = await change(before?.value);
      const condition = before === undefined ? { ifAbsent: true } : { ifVersion: before.version };
      try {
        if (value !== undefined) await state.set(key, value, { ...options, ...condition });
        else if (before !== undefined) await state.delete(key, condition);
        return value;
      } catch (error) {
        if (!(error instanceof StateError) || error.reason !== 'precondition_failed') throw error;
      }
    }
  },
  /** `{ items: [{ key, etag, bytes, type }], after }`; with `after` of the last page the next one. */
  async list({ prefix, after, limit } = {}) {
    return JSON.parse((await ask('GET', '/kv', { query: { prefix, after, limit } })).bytes.toString());
  },
  blobs: {
    /** Stores bytes, a string or a stream of bytes; resolves to the version. */
    async put(key, content, options = {}) {
      const body = typeof content === 'string' ? Buffer.from(content) : content;
      const headers = { 'content-type': options.type ?? 'application/octet-stream', ...conditions(options) };
      const { response } = await ask('PUT', pathOf('blobs', key), {
        body,
        headers,
        query: { ttl: options.ttl },
      });
      return versionOf(response);
    },
    /** `{ body, bytes, type, version }` with `body` a stream, or undefined. `from` and `to` are the first and the last byte. */
    async get(key, { from, to } = {}) {
      const headers =
        from === undefined && to === undefined ? {} : { range: `bytes=${from ?? 0}-${to ?? ''}` };
      const response = await send('GET', pathOf('blobs', key), { headers });
      if (response.statusCode >= 300) {
        const bytes = await bytesOf(response);
        if (response.statusCode === 404) return undefined;
        throw failure(response.statusCode, bytes);
      }
      const bytes = Number(response.headers['content-length']);
      return { body: response, bytes, type: response.headers['content-type'], version: versionOf(response) };
    },
    /** All bytes in memory, or undefined. */
    async read(key, range) {
      const found = await state.blobs.get(key, range);
      return found && bytesOf(found.body);
    },
    async delete(key, options = {}) {
      return (
        (await ask('DELETE', pathOf('blobs', key), { missing: true, headers: conditions(options) })) !==
        undefined
      );
    },
    async list({ prefix, after, limit } = {}) {
      return JSON.parse((await ask('GET', '/blobs', { query: { prefix, after, limit } })).bytes.toString());
    },
  },
};
