/** JSON-RPC as MCP uses it, and which revision of the protocol a message speaks. Pure. Source: MCP 2026-07-28 `basic`, 2025-11-25 `basic`. */

export interface Request {
  jsonrpc: '2.0';
  /** Absent: a notification. */
  id?: string | number;
  method: string;
  params: Record<string, unknown>;
}

/** The newest revision, in which every request says all about itself. */
export const MODERN = '2026-07-28';
/** Revisions that begin with `initialize`, the newest first. */
export const LEGACY = ['2025-11-25', '2025-06-18', '2025-03-26'] as const;
export const SUPPORTED: readonly string[] = [MODERN, ...LEGACY];

/** Codes of JSON-RPC 2.0 and of MCP. */
export const CODES = {
  parse: -32_700,
  request: -32_600,
  method: -32_601,
  params: -32_602,
  internal: -32_603,
  headers: -32_020,
  version: -32_022,
} as const;

/** A failure as the protocol tells it; `status` is that of the HTTP answer. */
export class RpcError extends Error {
  readonly code: number;
  readonly status: number;
  readonly data: unknown;

  constructor(code: keyof typeof CODES, message: string, status = 200, data?: unknown) {
    super(message);
    this.code = CODES[code];
    this.status = status;
    this.data = data;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** One message; undefined for a response, which this server never asked for. Throws `RpcError`. */
export function readMessage(message: unknown): Request | undefined {
  if (!isObject(message) || message.jsonrpc !== '2.0')
    throw new RpcError('request', 'the message is not JSON-RPC 2.0', 400);
  const { id, method, params = {} } = message;
  if (method === undefined && ('result' in message || 'error' in message)) return undefined;
  if (typeof method !== 'string') throw new RpcError('request', 'the message has no method', 400);
  if (id !== undefined && typeof id !== 'string' && !Number.isInteger(id))
    throw new RpcError('request', 'the id is neither a string nor a whole number', 400);
  if (!isObject(params)) throw new RpcError('params', 'params is not an object', 400);
  return { jsonrpc: '2.0', method, params, ...(id === undefined ? {} : { id: id as string | number }) };
}

const META = 'io.modelcontextprotocol/';
/** `=?base64?…?=` stands for what a header cannot carry. */
export function headerValue(text: string): string {
  const encoded = /^=\?base64\?(.*)\?=$/s.exec(text)?.[1];
  return encoded === undefined ? text : Buffer.from(encoded, 'base64').toString('utf8');
}

export type Headers = Record<string, string | string[] | undefined>;

const one = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;

/**
 * Whether a request is of the modern revision, with its headers checked against it; else it is a legacy one. Throws `RpcError`
 * for a revision that is not known and for headers that say something else than the body.
 */
export function isModern({ method, params }: Request, headers: Headers): boolean {
  const meta = isObject(params._meta) ? params._meta : {};
  const said = meta[`${META}protocolVersion`];
  const header = one(headers['mcp-protocol-version']);
  if (said === undefined) {
    if (header === undefined || (LEGACY as readonly string[]).includes(header)) return false;
    if (header === MODERN) throw new RpcError('params', `_meta["${META}protocolVersion"] is missing`, 400);
    throw unsupported(header);
  }
  if (header === undefined)
    throw new RpcError('headers', 'Header mismatch: MCP-Protocol-Version is missing', 400);
  if (header !== said)
    throw new RpcError(
      'headers',
      `Header mismatch: MCP-Protocol-Version is '${header}', the body says '${said}'`,
      400,
    );
  if (header !== MODERN) throw unsupported(header);
  if (!isObject(meta[`${META}clientCapabilities`]))
    throw new RpcError('params', `_meta["${META}clientCapabilities"] is missing`, 400);
  const mirrored: [name: string, wanted: unknown][] = [['Mcp-Method', method]];
  if (method === 'tools/call') mirrored.push(['Mcp-Name', params.name]);
  for (const [name, wanted] of mirrored) matchHeader(headers, name, wanted);
  return true;
}

const unsupported = (requested: string) =>
  new RpcError('version', 'Unsupported protocol version', 400, { supported: SUPPORTED, requested });

/** Throws `RpcError` unless the header says what the body says; numbers are compared as numbers. */
export function matchHeader(headers: Headers, name: string, wanted: unknown): void {
  const given = one(headers[name.toLowerCase()]);
  if (given === undefined) throw new RpcError('headers', `Header mismatch: ${name} is missing`, 400);
  const value = headerValue(given);
  const same =
    typeof wanted === 'number' ? value.trim() !== '' && Number(value) === wanted : value === String(wanted);
  if (!same)
    throw new RpcError('headers', `Header mismatch: ${name} is '${value}', the body says '${wanted}'`, 400);
}

/** Paths of arguments that a schema wants in headers, with the headers' names. Source: MCP 2026-07-28, "Custom Headers from Tool Parameters". */
export function* headerParameters(
  schema: unknown,
  path: string[] = [],
): Generator<[path: string[], header: string]> {
  const properties = isObject(schema) ? schema.properties : undefined;
  if (!isObject(properties) || path.length > 16) return;
  for (const [name, property] of Object.entries(properties)) {
    const header = isObject(property) ? property['x-mcp-header'] : undefined;
    if (typeof header === 'string' && header !== '') yield [[...path, name], `Mcp-Param-${header}`];
    yield* headerParameters(property, [...path, name]);
  }
}

/** The value at a path of arguments; undefined when there is none. */
export function valueAt(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const name of path) found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
  return found;
}
