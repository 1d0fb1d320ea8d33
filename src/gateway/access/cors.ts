/**
 * What a browser is told of pages from elsewhere (Fetch standard, §3.2 CORS protocol). Pure. A route without these settings adds
 * nothing: browsers refuse then.
 */
import type { RouteAccess } from '../contract.ts';
import { type Failure, failure, ownAnswer } from '../failures.ts';

export type CorsSettings = NonNullable<RouteAccess['cors']>;

/** Fields of an answer that are the gateway's to set where it speaks for the function. */
export const CORS_FIELDS = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
] as const;

/** A request that a browser makes before the one that a page wants. */
export interface Preflight {
  origin: string;
  method: string;
  /** Value of `Access-Control-Request-Headers`; `''` when absent. */
  headers: string;
}

const PREFLIGHT_VARY = 'vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n';

/** What else may stand in a list of names would be a line of its own. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

type Test = (origin: string) => boolean;

/** `https://*.example.com` is about every host below it, on that scheme and port. */
function originTest(pattern: string): Test {
  const star = pattern.indexOf('*');
  if (star < 0) return (origin) => origin === pattern;
  const before = pattern.slice(0, star);
  const after = pattern.slice(star + 1);
  return (origin) =>
    origin.length > before.length + after.length &&
    origin.startsWith(before) &&
    origin.endsWith(after) &&
    /^[A-Za-z0-9.-]+$/.test(origin.slice(before.length, origin.length - after.length));
}

export class Cors {
  readonly #settings: CorsSettings;
  readonly #tests: readonly Test[];
  readonly #anyOrigin: boolean;
  readonly #methods: ReadonlySet<string>;
  readonly #headers: ReadonlySet<string>;
  readonly #expose: string;

  constructor(settings: CorsSettings) {
    const { origins } = settings;
    const [methods, headers, expose] = [settings.methods, settings.headers, settings.expose].map((names) =>
      names.filter((name) => TOKEN.test(name)),
    ) as [string[], string[], string[]];
    this.#settings = settings;
    this.#anyOrigin = origins.includes('*');
    this.#tests = origins.filter((origin) => origin !== '*').map(originTest);
    this.#methods = new Set(methods);
    this.#headers = new Set(headers.map((name) => name.toLowerCase()));
    this.#expose = expose.length === 0 ? '' : `access-control-expose-headers: ${expose.join(', ')}\r\n`;
  }

  /** Lines about who may read; null when this origin may not. Any origin (`*`) never goes with credentials. */
  #allowed(origin: string | null): string | null {
    if (origin !== null && this.#tests.some((test) => test(origin))) {
      const credentials = this.#settings.credentials ? 'access-control-allow-credentials: true\r\n' : '';
      return `access-control-allow-origin: ${origin}\r\n${credentials}`;
    }
    return this.#anyOrigin ? 'access-control-allow-origin: *\r\n' : null;
  }

  /** Lines of every answer to a request with this `Origin` (null: without one), failures included. */
  lines(origin: string | null): string {
    const vary = this.#tests.length > 0 ? 'vary: Origin\r\n' : '';
    const allowed = this.#allowed(origin);
    return allowed === null ? vary : allowed + this.#expose + vary;
  }

  /** The answer to a preflight: 204, or 403 that says what is not allowed. */
  preflight({ origin, method, headers }: Preflight): Failure {
    const allowed = this.#allowed(origin);
    if (allowed === null) return this.#refuse(`pages of ${origin} may not call this function`);
    if (!this.#methods.has('*') && !this.#methods.has(method)) {
      return this.#refuse(`pages of other origins may not use the method ${method} here`);
    }
    const names = headers.split(',').flatMap((part) => part.trim() || []);
    const strange = this.#headers.has('*')
      ? undefined
      : names.find((name) => !this.#headers.has(name.toLowerCase()));
    if (strange !== undefined) {
      return this.#refuse(`pages of other origins may not send the header ${strange} here`);
    }
    const { maxAgeSeconds } = this.#settings;
    let lines = `${allowed}access-control-allow-methods: ${this.#methods.has('*') ? method : [...this.#methods].join(', ')}\r\n`;
    // named one by one: `*` stands for nothing where there are credentials, and never for Authorization
    if (names.length > 0) lines += `access-control-allow-headers: ${names.join(', ')}\r\n`;
    if (maxAgeSeconds !== undefined) lines += `access-control-max-age: ${maxAgeSeconds}\r\n`;
    return ownAnswer(204, lines + PREFLIGHT_VARY);
  }

  #refuse(message: string): Failure {
    return { ...failure('cors_refused', message, 'client'), lines: PREFLIGHT_VARY };
  }
}
