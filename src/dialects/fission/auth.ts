/**
 * Fission's authentication of its router: one user, whose name and password are exchanged for a token that every request has to carry. Off
 * until there is a Secret for it. Source: Fission `pkg/router/auth.go`, chart `authentication`.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { signToken } from '../../base/jwt.ts';
import type { RouteAccess } from '../../gateway/contract.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import { createInformer } from '../../kube/informer.ts';
import { SECRETS } from '../../kube/refs.ts';
import type { Context, Part } from './context.ts';
import { FISSION_NAMESPACE } from './presence.ts';

/** The Secret of the chart's; its keys are `username`, `password` and `jwtSigningKey`. */
const SECRET = 'router';
const ISSUER = 'fission';
/** How long a token holds, seconds; Fission's default. */
const HOLDS_S = 120;

/** Who may come in, and what tokens are signed with. */
export interface Credentials {
  username: string;
  password: string;
  key: string;
}

/** What a Secret says; undefined where one of its keys is missing or empty. */
export function credentialsOf(secret: UntypedObject | undefined): Credentials | undefined {
  const text = (key: string) => Buffer.from(secret?.data?.[key] ?? '', 'base64').toString('utf8');
  const [username, password, key] = [text('username'), text('password'), text('jwtSigningKey')];
  return username && password && key ? { username, password, key } : undefined;
}

const same = (a: string, b: string): boolean => {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
};

/** Whether these are the user's name and password; constant-time. */
export function isUser(credentials: Credentials, given: { username?: unknown; password?: unknown }): boolean {
  const name = same(credentials.username, String(given.username ?? ''));
  const password = same(credentials.password, String(given.password ?? ''));
  return name && password;
}

/** A token that holds from `now`, ms since the epoch. */
export function tokenFor({ key }: Credentials, now: number): string {
  const since = Math.floor(now / 1000);
  return signToken(key, { iss: ISSUER, nbf: since, exp: since + HOLDS_S });
}

export interface Auth extends Part {
  /** What the router's paths ask of requests; undefined: nothing. */
  access(): RouteAccess['auth'] | undefined;
  /** A token for who knows name and password; `off`: nobody needs one. */
  login(given: { username?: unknown; password?: unknown }): { token: string } | 'refused' | 'off';
  /** Fields of the dialect's own requests. */
  headers(): Record<string, string>;
  /** Called when what is asked has changed. */
  onChange(changed: () => void): void;
}

export function createAuth({ client, clock, log }: Pick<Context, 'client' | 'clock' | 'log'>): Auth {
  let credentials: Credentials | undefined;
  let told: string | undefined;
  const listeners: (() => void)[] = [];
  const secrets = createInformer<UntypedObject>({
    client,
    resource: SECRETS,
    log,
    clock,
    namespace: FISSION_NAMESPACE,
    fieldSelector: `metadata.name=${SECRET}`,
  });
  const look = () => {
    credentials = credentialsOf(secrets.get(FISSION_NAMESPACE, SECRET));
    const now = credentials?.key;
    if (now === told) return;
    told = now;
    log.info(now === undefined ? 'the router asks for no tokens' : 'the router asks for tokens');
    for (const changed of listeners) changed();
  };
  secrets.addHandler({ add: look, update: look, delete: look });
  return {
    async start() {
      secrets.start();
      await secrets.synced;
    },
    stop: () => secrets.stop(),
    access() {
      if (credentials === undefined) return undefined;
      const k = Buffer.from(credentials.key).toString('base64url');
      return { jwt: { issuer: ISSUER, keys: [{ kty: 'oct', k }] } };
    },
    login(given) {
      if (credentials === undefined) return 'off';
      return isUser(credentials, given) ? { token: tokenFor(credentials, clock.now()) } : 'refused';
    },
    headers(): Record<string, string> {
      if (credentials === undefined) return {};
      return { authorization: `Bearer ${tokenFor(credentials, clock.now())}` };
    },
    onChange: (changed) => void listeners.push(changed),
  };
}
