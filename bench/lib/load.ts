/** wrk with requests of one's own: fields and body, or one of several sets of fields after the other. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type BenchPlatform, wrk } from './platform.ts';

export interface Requests {
  host: string;
  path?: string;
  headers?: Record<string, string>;
  /** POST instead of GET. */
  body?: string;
  /** A field of which each request has the next value. */
  turns?: { header: string; values: string[] };
}

const text = (value: string) => JSON.stringify(value);

/** Runs wrk against the gateway; see `wrk`. */
export async function load(
  platform: BenchPlatform,
  requests: Requests,
  options: { connections: number; seconds: number },
): ReturnType<typeof wrk> {
  const { host, path: at = '/', headers = {}, body, turns } = requests;
  const directory = await mkdtemp(path.join(tmpdir(), 'petrel-bench-load-'));
  const script = path.join(directory, 'load.lua');
  // By this spelling wrk knows that there is one already.
  const fields = Object.entries({ Host: host, ...headers }).map(
    ([name, value]) => `[${text(name)}] = ${text(value)}`,
  );
  await writeFile(
    script,
    `local n = 0
local headers = { ${fields.join(', ')} }
local body = ${body === undefined ? 'nil' : text(body)}
local values = { ${(turns?.values ?? []).map(text).join(', ')} }
local fixed = wrk.format(${text(body === undefined ? 'GET' : 'POST')}, ${text(at)}, headers, body)
function request()
  if #values == 0 then return fixed end
  n = n % #values + 1
  headers[${text(turns?.header ?? '')}] = values[n]
  return wrk.format(${text(body === undefined ? 'GET' : 'POST')}, ${text(at)}, headers, body)
end
`,
  );
  try {
    return await wrk(`http://${platform.gateway.host}:${platform.gateway.port}/`, { ...options, script });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
