/** A route's access as one worker asks it: first a browser's preflight, then who calls. */
import type { RouteAccess } from '../contract.ts';
import type { Failure } from '../failures.ts';
import type { Destination } from '../plane-types.ts';
import { fieldValue, needle, withRequestLines } from '../policy/lines.ts';
import type { RequestBlock } from '../request-block.ts';
import { Auth, type Identity } from './auth.ts';
import { Cors } from './cors.ts';
import { Guard, type Held, type HeldLoad } from './guard.ts';

const ORIGIN = needle('origin');
const REQUEST_METHOD = needle('access-control-request-method');
const REQUEST_HEADERS = needle('access-control-request-headers');
/** Who calls, for instances to read; only the gateway says it. */
const IDENTITY = [needle('x-petrel-auth-subject'), needle('x-petrel-auth-method')];

/** The method that a preflight asks about; null when the request is none. */
export function preflightOf(method: string, block: RequestBlock): string | null {
  if (method !== 'OPTIONS' || fieldValue(block.out, ORIGIN) === null) return null;
  return fieldValue(block.out, REQUEST_METHOD);
}

/** A request that may go on, or the answer to one that may not. */
export class Passed {
  readonly failure: Failure | null;
  readonly block: RequestBlock;
  /** Of every answer to it. */
  readonly #lines: string;
  readonly #held: Held | null;

  constructor(why: Failure | null, block: RequestBlock, lines: string, held: Held | null) {
    this.failure = why === null || lines === '' ? why : { ...why, lines: (why.lines ?? '') + lines };
    this.block = block;
    this.#lines = lines;
    this.#held = held;
  }

  /** The destination with what the request brings along. */
  guard(to: Destination, load: HeldLoad): Destination {
    const lines = this.#lines;
    if (lines === '' && this.#held === null) return to;
    if (to.failure === null) return { ...to, terms: new Guard(to.terms, lines, this.#held, load), lines };
    return { ...to, failure: { ...to.failure, lines: (to.failure.lines ?? '') + lines } };
  }
}

/** What was made of a route's settings. */
export class AccessTerms {
  readonly cors: Cors | null;
  readonly auth: Auth | null;

  constructor(cors: Cors | null, auth: Auth | null) {
    this.cors = cors;
    this.auth = auth;
  }

  /** `keyMissing` is called for tokens whose key is not known. */
  static of({ cors, auth }: RouteAccess, keyMissing: () => void): AccessTerms {
    return new AccessTerms(cors ? new Cors(cors) : null, auth ? new Auth(auth, keyMissing) : null);
  }

  /** These, and where they say nothing, those. */
  over(other: AccessTerms | undefined): AccessTerms {
    return new AccessTerms(this.cors ?? other?.cors ?? null, this.auth ?? other?.auth ?? null);
  }

  /** Judges a request; `now` is milliseconds since 1970. */
  judge(block: RequestBlock, method: string, now: number): Passed {
    const { cors, auth } = this;
    let lines = '';
    if (cors !== null) {
      const origin = fieldValue(block.out, ORIGIN);
      const asked = preflightOf(method, block);
      if (origin !== null && asked !== null) {
        const headers = fieldValue(block.out, REQUEST_HEADERS) ?? '';
        return new Passed(cors.preflight({ origin, method: asked, headers }), block, '', null);
      }
      lines = cors.lines(origin);
    }
    if (auth === null) return new Passed(null, withRequestLines(block, IDENTITY, ''), lines, null);
    const verdict = auth.judge(block.out, now);
    if ('failure' in verdict) return new Passed(verdict.failure, block, lines, null);
    const held =
      'check' in verdict ? { check: verdict.check, wrong: auth.wrong('the signature is wrong') } : null;
    const identity: Identity = 'identity' in verdict ? verdict.identity : { method: 'hmac', subject: '' };
    return new Passed(null, withRequestLines(block, IDENTITY, identityLines(identity)), lines, held);
  }
}

/** A subject is any text; what is not printable ASCII goes as it does in a URL. */
function identityLines({ method, subject }: Identity): string {
  const safe = subject.replace(/[^\x21-\x7e]|%/gu, encoded);
  return `x-petrel-auth-method: ${method}\r\n${safe === '' ? '' : `x-petrel-auth-subject: ${safe}\r\n`}`;
}

function encoded(char: string): string {
  return [...Buffer.from(char, 'utf8')]
    .map((b) => `%${b.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('');
}
