/**
 * Whom to tell of the outcome of one request that is carried out later. A field of the request says it, with a proof that the platform
 * itself has written it: clients could otherwise have requests sent wherever they like.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** Never passed on to a function. */
export const CALLBACK_FIELD = 'x-petrel-callback';

export interface Callback {
  url: string;
  /** The function as its caller named it. */
  name: string;
}

const proofOf = (secret: string, target: string, text: string): Buffer =>
  createHmac('sha256', secret).update(`callback\n${target}\n${text}`).digest();

/** The field's value; it holds for requests to `target`, `<namespace>/<name>`. */
export function sealCallback(secret: string, target: string, callback: Callback): string {
  const text = Buffer.from(JSON.stringify(callback)).toString('base64url');
  return `${text}.${proofOf(secret, target, text).toString('base64url')}`;
}

/** Undefined for what the platform has not written for this target. */
export function openCallback(secret: string, target: string, value: string): Callback | undefined {
  const [text = '', proof = ''] = value.split('.');
  const given = Buffer.from(proof, 'base64url');
  const expected = proofOf(secret, target, text);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Callback;
}
