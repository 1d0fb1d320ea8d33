/** Handler shapes as a table: what a handler is given, and what its answer becomes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Answer, header, type RequestOptions } from './client.ts';
import { type Files, Instance } from './instance.ts';

/** One request, and what its answer must be. */
export interface Call {
  request: RequestOptions;
  status?: number;
  body?: string;
  /** For bodies that are JSON: must contain these members. */
  json?: Record<string, unknown>;
  headers?: Record<string, string>;
}

/** A package, the shape that is recognised in it, and how it answers. */
export interface Case {
  title: string;
  files: Files;
  params?: Record<string, unknown>;
  shape: string;
  /** Why it cannot be shown here. */
  skip?: string | undefined;
  calls: Call[];
}

export const get = (target: string, headers: [string, string][] = []): RequestOptions => ({
  target,
  headers,
});
export const post = (
  target: string,
  body: string | Uint8Array,
  type: string,
  headers: [string, string][] = [],
): RequestOptions => ({
  method: 'POST',
  target,
  body,
  headers: [['content-type', type], ...headers],
});
export const hello: Call[] = [{ request: get('/'), status: 200, body: 'hello' }];

function check(answer: Answer, call: Call): void {
  const text = answer.body.toString();
  if (call.status !== undefined) assert.equal(answer.status, call.status, text);
  if (call.body !== undefined)
    assert.ok(
      text === call.body,
      `${text.slice(0, 300)} (${text.length}) is not ${call.body.slice(0, 300)} (${call.body.length})`,
    );
  if (call.json !== undefined) {
    const value = JSON.parse(text);
    for (const [name, expected] of Object.entries(call.json))
      assert.deepEqual(value[name], expected, `${name} in ${text}`);
  }
  for (const [name, value] of Object.entries(call.headers ?? {}))
    assert.equal(header(answer, name) ?? '', value, name);
}

/** Declares a test for every case, each with an instance of its own. `missing` says why none can be run here. */
export function describeShapes(runtime: string, missing: string | undefined, cases: Case[]): void {
  describe(`${runtime}: shapes`, { skip: missing ?? false }, () => {
    for (const { title, files, params, shape, calls, skip } of cases) {
      test(title, { skip: skip ?? false }, async (t) => {
        const instance = await Instance.start({ runtime });
        t.after(() => instance.stop());
        const result = await instance.specialise(files, params);
        assert.equal(result.shape, shape);
        const data = await instance.caller();
        for (const call of calls) {
          const outcome = await data.request(call.request).then(
            (answer) => answer,
            (error) => assert.fail(`${call.request.target}: ${error}\n${instance.output}`),
          );
          check(outcome, call);
        }
      });
    }
  });
}
