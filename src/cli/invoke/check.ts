/** Saved requests as tests: sent, and their answers held against what they expect. */
import { request } from '../../base/http.ts';
import { type Answer, differences, type Expectation } from './expect.ts';
import { type SavedRequest, savedNames, savedRequest } from './saved.ts';

/** Most of an answer that is looked at, bytes. */
const MOST_BYTES = 16 * 1024 * 1024;
/** Longest time for one, milliseconds. */
const LIMIT_MS = 60_000;

export interface Check {
  name: string;
  request: SavedRequest & { expect: Expectation };
}

export interface Checked {
  name: string;
  passed: boolean;
  ms: number;
  problems: string[];
}

/** The saved requests of a folder that expect something. Throws `InvalidArgument` for a file that is none. */
export function expecting(folder: string): Check[] {
  return savedNames(folder).flatMap((name) => {
    const { expect, ...rest } = savedRequest(name, folder);
    return expect === undefined ? [] : [{ name, request: { ...rest, expect } }];
  });
}

/** Sends them to the function at `url`, one after the other: they may build on each other, in the order of their names. */
export async function checkRequests(url: string, checks: readonly Check[]): Promise<Checked[]> {
  const done: Checked[] = [];
  for (const { name, request } of checks) {
    const began = performance.now();
    const problems = await send(url, request).then(
      (answer) => differences(request.expect, answer),
      (error: Error) => [`no answer: ${error.message}`],
    );
    done.push({ name, passed: problems.length === 0, ms: Math.round(performance.now() - began), problems });
  }
  return done;
}

/** One exchange. */
export function send(url: string, { method, path, headers, body }: SavedRequest): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const target = new URL(url);
  const outgoing = request({
    host: target.hostname,
    port: target.port,
    method,
    path: `${target.pathname}${path.startsWith('/') ? '' : '/'}${path}`,
    agent: false,
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  for (const [name, value] of headers) outgoing.appendHeader(name, value);
  outgoing.on('error', reject);
  outgoing.on('response', (response) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    response.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes > MOST_BYTES) response.destroy(new Error(`the answer has more than ${MOST_BYTES} bytes`));
      else parts.push(part);
    });
    response.on('error', reject);
    response.on('end', () =>
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(parts).toString('utf8'),
      }),
    );
  });
  outgoing.end(body);
  return promise;
}
