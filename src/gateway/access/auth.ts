/** Who sends a request: by an API key, a token, or a signature of the body. Nothing compared here takes a time that tells of a secret. */
import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import type { RouteAccess } from '../contract.ts';
import { type Failure, failure } from '../failures.ts';
import { fieldValue, needle } from '../policy/lines.ts';
import { JwtVerifier } from './jwt.ts';

export type AuthSettings = NonNullable<RouteAccess['auth']>;

/** How the sender was recognised, and as whom. */
export interface Identity {
  method: 'api-key' | 'jwt' | 'hmac';
  subject: string;
}

/** The signature that a body must have. */
export type SignatureCheck = (body: Buffer) => boolean;

/** A sender that is known, one whose body has to be seen first, or a refusal. */
export type AuthVerdict = { identity: Identity } | { check: SignatureCheck } | { failure: Failure };

const AUTHORIZATION = needle('authorization');
const BEARER = /^bearer +([^ ].*)$/i;
const SIGNATURE = /^sha256=([0-9a-f]{64})$/i;

/** A key that is missing is told of once in this time, milliseconds. */
const TELL_MS = 1000;

interface ApiKeys {
  name: Buffer;
  /** Whose key it is, by its SHA-256, hexadecimal. */
  owners: ReadonlyMap<string, string>;
}

export class Auth {
  readonly #apiKeys: ApiKeys | null;
  readonly #jwt: JwtVerifier | null;
  readonly #hmac: { name: Buffer; secrets: readonly string[] } | null;
  readonly #challenge: string;
  readonly #keyMissing: () => void;
  #missedAt = Number.NEGATIVE_INFINITY;

  /** `keyMissing` is called for tokens whose key is not known. */
  constructor({ apiKeys, jwt, hmac }: AuthSettings, keyMissing: () => void) {
    this.#apiKeys = apiKeys
      ? {
          name: needle(apiKeys.header),
          owners: new Map(
            apiKeys.digests.map((hex, i) => [hex.toLowerCase(), apiKeys.names?.[i] ?? ''] as const),
          ),
        }
      : null;
    this.#jwt = jwt ? new JwtVerifier(jwt) : null;
    this.#hmac = hmac
      ? { name: needle(hmac.header), secrets: hmac.secrets.filter((one) => one !== '') }
      : null;
    const bearer = apiKeys || jwt || !hmac;
    this.#challenge = bearer ? 'Bearer' : `HMAC-SHA256 header="${hmac?.header.toLowerCase()}"`;
    this.#keyMissing = keyMissing;
  }

  /** Judges a request by its fields; `now` is milliseconds since 1970. */
  judge(out: Buffer, now: number): AuthVerdict {
    const bearer = BEARER.exec(fieldValue(out, AUTHORIZATION) ?? '')?.[1] ?? null;
    let problem: string | null = null;
    if (this.#apiKeys !== null) {
      const own = fieldValue(out, this.#apiKeys.name);
      for (const given of [own, bearer]) {
        if (given === null) continue;
        const identity = keyOwner(this.#apiKeys, given);
        if (identity !== null) return { identity };
        problem = 'the API key is not one that is accepted';
      }
    }
    if (this.#jwt !== null && bearer !== null) {
      const verdict = this.#jwt.verify(bearer, now / 1000);
      if ('subject' in verdict) return { identity: { method: 'jwt', subject: verdict.subject } };
      if (verdict.unknownKey) this.#tellMissing(now);
      problem = `the token is not accepted: ${verdict.problem}`;
    }
    const signature = this.#hmac === null ? null : fieldValue(out, this.#hmac.name);
    if (this.#hmac !== null && signature !== null) {
      const given = SIGNATURE.exec(signature)?.[1];
      if (given !== undefined)
        return { check: signatureCheck(this.#hmac.secrets, Buffer.from(given, 'hex')) };
      problem = 'the signature is not of the form sha256=<64 hexadecimal digits>';
    }
    return { failure: problem === null ? this.#unauthenticated() : this.wrong(problem) };
  }

  /** Anybody can name a key that does not exist. */
  #tellMissing(now: number): void {
    if (now - this.#missedAt < TELL_MS && now >= this.#missedAt) return;
    this.#missedAt = now;
    this.#keyMissing();
  }

  #unauthenticated(): Failure {
    const why = 'this function asks who calls: there is no key, token or signature with the request';
    return {
      ...failure('unauthenticated', why, 'client'),
      lines: `www-authenticate: ${this.#challenge}\r\n`,
    };
  }

  /** What was given does not hold. */
  wrong(problem: string): Failure {
    const error = this.#challenge === 'Bearer' ? ' error="invalid_token"' : '';
    const lines = `www-authenticate: ${this.#challenge}${error}\r\n`;
    return { ...failure('forbidden', problem, 'client'), lines };
  }
}

/** The time of the look-up tells of the hash of what was given at most: nobody can choose one that comes nearer to that of a key. */
function keyOwner({ owners }: ApiKeys, given: string): Identity | null {
  const subject = owners.get(hash('sha256', Buffer.from(given, 'latin1'), 'hex'));
  return subject === undefined ? null : { method: 'api-key', subject };
}

function signatureCheck(secrets: readonly string[], given: Buffer): SignatureCheck {
  return (body) => {
    let right = false;
    for (const secret of secrets) {
      if (timingSafeEqual(createHmac('sha256', secret).update(body).digest(), given)) right = true;
    }
    return right;
  };
}
