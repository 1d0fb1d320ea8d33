/** Who may call a webhook: the signatures of those who send them. Pure; all comparisons take constant time. */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** What is signed, and how it is written. */
export interface Signing {
  algorithm: 'sha1' | 'sha256' | 'sha512';
  encoding: 'hex' | 'base64';
  /** Lower case. */
  header: string;
  /** Before the signature in the header's value. */
  prefix: string;
}

/** A request as its headers say it: one value each, names in lower case. */
export interface Signed {
  headers: ReadonlyMap<string, string>;
  body: Buffer;
}

/** Why a request is not believed; undefined: it is. */
export type Doubt = 'missing' | 'wrong' | 'late' | undefined;

/** Stripe's and Slack's own advice: older requests may be recordings, seconds. */
const TOLERANCE_SECONDS = 300;

function digest(
  { algorithm, encoding }: Pick<Signing, 'algorithm' | 'encoding'>,
  secret: string,
  parts: (string | Buffer)[],
): Buffer {
  const hmac = createHmac(algorithm, secret);
  for (const part of parts) hmac.update(part);
  return Buffer.from(hmac.digest(encoding));
}

const same = (given: string, expected: Buffer): boolean => {
  const bytes = Buffer.from(given);
  return bytes.length === expected.length && timingSafeEqual(bytes, expected);
};

/** Any of several secrets will do, so that one can be replaced without a gap. */
const signedByOne = (
  secrets: readonly string[],
  given: readonly string[],
  expected: (secret: string) => Buffer,
): boolean => {
  let found = false;
  for (const secret of secrets) {
    const wanted = expected(secret);
    for (const one of given) if (same(one, wanted)) found = true;
  }
  return found;
};

const stale = (stamp: string, now: number): boolean =>
  !/^\d{1,12}$/.test(stamp) || Math.abs(now / 1000 - Number(stamp)) > TOLERANCE_SECONDS;

/** A signature of the body alone, as GitHub, Gitea, Shopify and most others make it. */
export function bodySigned({ headers, body }: Signed, secrets: readonly string[], signing: Signing): Doubt {
  const value = headers.get(signing.header);
  if (value === undefined) return 'missing';
  if (!value.startsWith(signing.prefix)) return 'wrong';
  const given = value.slice(signing.prefix.length);
  // Hexadecimal digits are written in both cases.
  const text = signing.encoding === 'hex' ? given.toLowerCase() : given;
  return signedByOne(secrets, [text], (secret) => digest(signing, secret, [body])) ? undefined : 'wrong';
}

const HEX_SHA256 = { algorithm: 'sha256', encoding: 'hex' } as const;

/** `Stripe-Signature: t=<seconds>,v1=<hex>,…`. Source: docs.stripe.com/webhooks, "Verify webhook signatures manually". */
export function stripeSigned({ headers, body }: Signed, secrets: readonly string[], now: number): Doubt {
  const value = headers.get('stripe-signature');
  if (value === undefined) return 'missing';
  const parts = value.split(',').map((part) => part.trim().split('='));
  const stamp = parts.find(([name]) => name === 't')?.[1] ?? '';
  const given = parts.filter(([name]) => name === 'v1').map(([, text = '']) => text);
  if (!signedByOne(secrets, given, (secret) => digest(HEX_SHA256, secret, [`${stamp}.`, body])))
    return 'wrong';
  return stale(stamp, now) ? 'late' : undefined;
}

/** `X-Slack-Signature: v0=<hex>` over `v0:<seconds>:<body>`. Source: docs.slack.dev, "Verifying requests from Slack". */
export function slackSigned({ headers, body }: Signed, secrets: readonly string[], now: number): Doubt {
  const value = headers.get('x-slack-signature');
  const stamp = headers.get('x-slack-request-timestamp') ?? '';
  if (value === undefined) return 'missing';
  const given = value.startsWith('v0=') ? [value.slice(3)] : [];
  if (!signedByOne(secrets, given, (secret) => digest(HEX_SHA256, secret, [`v0:${stamp}:`, body])))
    return 'wrong';
  return stale(stamp, now) ? 'late' : undefined;
}
