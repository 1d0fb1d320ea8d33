/**
 * JSON Web Tokens (RFC 7519, RFC 8725). Which algorithm a key is for follows from the key, never from the token: a public key
 * is no secret of HS256, and `none` is nothing. Pure but for the cryptography.
 */
import {
  createHmac,
  createPublicKey,
  type JsonWebKeyInput,
  type KeyObject,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import type { RouteAccess } from '../contract.ts';

export type JwtSettings = NonNullable<NonNullable<RouteAccess['auth']>['jwt']>;

/** What a token says of its bearer; or why it is not accepted, and whether the reason is a key that is not known here. */
export type JwtVerdict = { subject: string } | { problem: string; unknownKey: boolean };

/** By how much clocks may differ, seconds. */
const LEEWAY_S = 60;
const MAX_TOKEN = 8192;
const MIN_RSA_BITS = 2048;
/** Tokens whose signature has been checked; public-key cryptography is the dearest part of a request. */
const REMEMBERED = 1000;
const TOKEN = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

interface Key {
  kid: string | undefined;
  alg: string;
  check(signed: Buffer, signature: Buffer): boolean;
}

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);

function secretKey(k: string): Key['check'] {
  const secret = Buffer.from(k, 'base64url');
  return (signed, signature) => {
    const wanted = createHmac('sha256', secret).update(signed).digest();
    return signature.length === wanted.length && timingSafeEqual(wanted, signature);
  };
}

function publicKey(key: KeyObject, digest: string | null): Key['check'] {
  return (signed, signature) => verify(digest, signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

/** Only what is public of a key, so that a private one given by mistake is not held here. */
function imported(jwk: Record<string, unknown>, ...members: string[]): KeyObject {
  const key = Object.fromEntries(['kty', ...members].map((name) => [name, jwk[name]]));
  return createPublicKey({ key: key as JsonWebKeyInput['key'], format: 'jwk' });
}

/** A key of a set as it can be used; undefined for one that is not for signatures, not known here, or too short. */
function usableKey(jwk: Record<string, unknown>): Key | undefined {
  if (jwk.use !== undefined && jwk.use !== 'sig') return undefined;
  const of = (alg: string, check: Key['check']): Key | undefined =>
    jwk.alg === undefined || jwk.alg === alg ? { kid: text(jwk.kid), alg, check } : undefined;
  try {
    if (jwk.kty === 'oct' && text(jwk.k)) return of('HS256', secretKey(text(jwk.k)!));
    if (jwk.kty === 'RSA') {
      const key = imported(jwk, 'n', 'e');
      const long = (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS;
      return long ? of('RS256', publicKey(key, 'sha256')) : undefined;
    }
    if (jwk.kty === 'EC' && jwk.crv === 'P-256') {
      return of('ES256', publicKey(imported(jwk, 'crv', 'x', 'y'), 'sha256'));
    }
    if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') {
      return of('EdDSA', publicKey(imported(jwk, 'crv', 'x'), null));
    }
  } catch {
    // a key that is malformed is no key
  }
  return undefined;
}

type Claims = Record<string, unknown>;

function decoded(part: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Claims)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Lists hold a value when they have it, and so do the words of `scope`. */
function holds(name: string, found: unknown, wanted: string): boolean {
  if (Array.isArray(found)) return found.some((one) => String(one) === wanted);
  if (name === 'scope' && typeof found === 'string') return found.split(' ').includes(wanted);
  return (
    (typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean') &&
    String(found) === wanted
  );
}

export class JwtVerifier {
  readonly #settings: JwtSettings;
  readonly #keys: readonly Key[];
  readonly #known = new Map<string, Claims>();

  constructor(settings: JwtSettings) {
    this.#settings = settings;
    this.#keys = settings.keys.flatMap((jwk) => usableKey(jwk) ?? []);
  }

  /** `now` is seconds since 1970. */
  verify(token: string, now: number): JwtVerdict {
    const known = this.#known.get(token);
    const read = known === undefined ? this.#signed(token) : { claims: known };
    if ('problem' in read) return read;
    const { claims } = read;
    const problem = this.#objection(claims, now);
    if (problem !== undefined) {
      this.#known.delete(token);
      return { problem, unknownKey: false };
    }
    return { subject: text(claims.sub) ?? '' };
  }

  #signed(token: string): { claims: Claims } | Exclude<JwtVerdict, { subject: string }> {
    const malformed = { problem: 'it is malformed', unknownKey: false };
    const match = token.length > MAX_TOKEN ? null : TOKEN.exec(token);
    if (match === null) return malformed;
    const header = decoded(match[1]!);
    if (header === undefined) return malformed;
    if (header.crit !== undefined)
      return { problem: 'it has extensions that are not known here', unknownKey: false };
    const kid = text(header.kid);
    const named = this.#keys.filter((key) => kid === undefined || key.kid === undefined || key.kid === kid);
    if (named.length === 0) return { problem: 'its key is not known', unknownKey: true };
    const fitting = named.filter(({ alg }) => alg === header.alg);
    if (fitting.length === 0) return { problem: 'its algorithm is not that of the key', unknownKey: false };
    const signed = Buffer.from(`${match[1]}.${match[2]}`, 'latin1');
    const signature = Buffer.from(match[3]!, 'base64url');
    if (!fitting.some((key) => key.check(signed, signature))) {
      return { problem: 'its signature is wrong', unknownKey: false };
    }
    const claims = decoded(match[2]!);
    if (claims === undefined) return malformed;
    if (this.#known.size >= REMEMBERED) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(token, claims);
    return { claims };
  }

  #objection(claims: Claims, now: number): string | undefined {
    const { exp, nbf, iss, aud } = claims;
    const { issuer, audiences, claims: required = {}, withoutExpiry = false } = this.#settings;
    if (exp === undefined && !withoutExpiry) return 'it never expires: it has no "exp"';
    if (exp !== undefined && !(typeof exp === 'number' && now < exp + LEEWAY_S)) return 'it has expired';
    if (nbf !== undefined && !(typeof nbf === 'number' && now >= nbf - LEEWAY_S))
      return 'it is not valid yet';
    if (issuer !== undefined && iss !== issuer) return 'its issuer is not accepted here';
    if (audiences !== undefined && audiences.length > 0 && !audiences.some((one) => holds('aud', aud, one))) {
      return 'it is for another audience';
    }
    for (const [name, wanted] of Object.entries(required)) {
      if (!Object.hasOwn(claims, name) || !holds(name, claims[name], wanted)) {
        return `its claim "${name}" is not what is required`;
      }
    }
    return undefined;
  }
}
