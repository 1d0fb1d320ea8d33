/** What an instance shows to get at its state: whose it is and of which keyspace, with a proof that the platform said so. */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** Whose state. */
export interface Holder {
  namespace: string;
  function: string;
  keyspace: string;
}

/** `<namespace>.<function>.<keyspace>.<proof>`: none of the names has a dot. */
export function tokenFor(secret: string, { namespace, function: name, keyspace }: Holder): string {
  const said = `${namespace}.${name}.${keyspace}`;
  return `${said}.${createHmac('sha256', secret).update(`state ${said}`).digest('base64url')}`;
}

/** Whom a token names; undefined when the platform did not make it. Takes the same time for every token of a length. */
export function holderOf(secret: string, token: string): Holder | undefined {
  const parts = token.split('.');
  const [namespace = '', name = '', keyspace = ''] = parts;
  if (parts.length !== 4) return undefined;
  const holder = { namespace, function: name, keyspace };
  const given = Buffer.from(token);
  const right = Buffer.from(tokenFor(secret, holder));
  return given.length === right.length && timingSafeEqual(given, right) ? holder : undefined;
}
