/**
 * Requests kept under a name, to be sent again: `.petrel/requests/<name>.json` in the current folder, readable, and fit for version
 * control when nothing secret is in them.
 */

import { isUtf8 } from 'node:buffer';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import { closest } from '../suggest.ts';
import { type Expectation, wrongExpectation } from './expect.ts';

const FOLDER = join('.petrel', 'requests');
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** A request without its function. */
export interface SavedRequest {
  method: string;
  path: string;
  headers: [name: string, value: string][];
  body?: string | Buffer;
  /** What its answer is to be: it is a test then. */
  expect?: Expectation;
}

/** As it stands in the file: a body that is no text is base64. */
interface Written extends Omit<SavedRequest, 'body'> {
  body?: string;
  bodyBase64?: string;
}

function fileOf(name: string, folder: string): string {
  if (NAME.test(name)) return join(folder, FOLDER, `${name}.json`);
  throw new PetrelError('InvalidArgument', `"${name}" cannot be the name of a request`, {
    fix: 'use letters, digits, dots, dashes and underscores',
  });
}

/** Keeps a request; one of that name is replaced. Returns the file's path. Headers that carry secrets are left out: see `isSecret`. */
export function saveRequest(name: string, request: SavedRequest, folder = '.'): string {
  const path = fileOf(name, folder);
  const { body, expect, ...rest } = request;
  const bytes = body === undefined ? undefined : Buffer.from(body);
  const written: Written = {
    ...rest,
    headers: rest.headers.filter(([header]) => !isSecret(header)),
    ...(bytes === undefined
      ? {}
      : isUtf8(bytes)
        ? { body: bytes.toString() }
        : { bodyBase64: bytes.toString('base64') }),
    ...(expect === undefined ? {} : { expect }),
  };
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(written, null, 2)}\n`);
  return path;
}

/** Whether a header is one of those that prove who somebody is. */
export function isSecret(header: string): boolean {
  return /^(authorization|proxy-authorization|cookie|x-api-key)$/i.test(header);
}

/** The request of that name. Throws `NotFound` with those that there are, and `InvalidArgument` for a file that is none. */
export function savedRequest(name: string, folder = '.'): SavedRequest {
  const path = fileOf(name, folder);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const known = savedNames(folder);
    const near = closest(name, known);
    throw new PetrelError('NotFound', `there is no saved request "${name}"`, {
      why: (error as Error).message,
      fix: near
        ? `did you mean ${near}?`
        : known.length > 0
          ? `use one of ${known.join(', ')}`
          : `save one: petrel invoke <function> … --save ${name}`,
    });
  }
  try {
    const { method, path: target, headers, body, bodyBase64, expect } = JSON.parse(text) as Written;
    if (typeof method !== 'string' || typeof target !== 'string' || !Array.isArray(headers))
      throw new Error('method, path and headers must be there');
    const wrong = expect === undefined ? undefined : wrongExpectation(expect);
    if (wrong) throw new Error(wrong);
    const bytes = bodyBase64 === undefined ? body : Buffer.from(bodyBase64, 'base64');
    return {
      method,
      path: target,
      headers,
      ...(bytes === undefined ? {} : { body: bytes }),
      ...(expect === undefined ? {} : { expect }),
    };
  } catch (error) {
    throw new PetrelError('InvalidArgument', `${path} is no saved request`, {
      why: (error as Error).message,
      fix: 'correct it, or save it again',
    });
  }
}

/** Names of the requests that a folder has, sorted. */
export function savedNames(folder = '.'): string[] {
  try {
    return readdirSync(join(folder, FOLDER))
      .filter((file) => file.endsWith('.json'))
      .map((file) => file.slice(0, -'.json'.length))
      .sort();
  } catch {
    return [];
  }
}
