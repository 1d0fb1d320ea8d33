/**
 * Sessions: a cookie that says which revision, and which instance of it, a client had. Its parts are keyed hashes: they
 * tell a stranger nothing, and what he makes up is compared with the route's own targets only, so the worst he can
 * choose is what the split could have given him anyway.
 */
import { createHmac } from 'node:crypto';
import type { RevisionKey, RoutePolicy } from '../contract.ts';
import { cookieValue } from './lines.ts';

const TOKEN_BYTES = 9;
const MAX_INSTANCES = 10_000;

/** What a client brought. */
export interface Session {
  /** One of the route's own targets. */
  revision: RevisionKey;
  /** Token of the instance. */
  instance: string;
}

export class Affinity {
  readonly #config: NonNullable<RoutePolicy['affinity']>;
  readonly #secret: string;
  readonly #route: string;
  readonly #byToken = new Map<string, RevisionKey>();
  readonly #revisions = new Map<RevisionKey, string>();
  readonly #instances = new Map<string, string>();

  /** `targets` are the revisions that the route sends requests to by percentage. */
  constructor(
    route: string,
    targets: readonly RevisionKey[],
    config: NonNullable<RoutePolicy['affinity']>,
    secret: string,
  ) {
    this.#route = route;
    this.#config = config;
    this.#secret = secret;
    for (const key of targets) {
      const token = this.#token('revision', key);
      this.#byToken.set(token, key);
      this.#revisions.set(key, token);
    }
  }

  #token(kind: string, id: string): string {
    const mac = createHmac('sha256', this.#secret).update(`${this.#route}\0${kind}\0${id}`).digest();
    return mac.toString('base64url', 0, TOKEN_BYTES);
  }

  /** The token of an instance, by its id. */
  instance(id: string): string {
    let token = this.#instances.get(id);
    if (token === undefined) {
      if (this.#instances.size >= MAX_INSTANCES) this.#instances.clear();
      token = this.#token('instance', id);
      this.#instances.set(id, token);
    }
    return token;
  }

  /** What the request's cookie says; null without one, or when its revision is none of the route's any more. */
  read(out: Buffer): Session | null {
    const [revision = '', instance = ''] = (cookieValue(out, this.#config.cookie) ?? '').split('.');
    const key = this.#byToken.get(revision);
    return key === undefined ? null : { revision: key, instance };
  }

  /** The line that gives the client its cookie; `path` is where it is sent back to. */
  line(revision: RevisionKey, instance: string, path: string): string {
    const { cookie, ttlMs } = this.#config;
    const age = ttlMs === undefined ? '' : `; Max-Age=${Math.max(1, Math.round(ttlMs / 1000))}`;
    const value = `${this.#revisions.get(revision) ?? ''}.${instance}`;
    return `set-cookie: ${cookie}=${value}; Path=${path}${age}; HttpOnly; SameSite=Lax\r\n`;
  }
}
