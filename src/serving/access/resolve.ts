/** What a Service says of who may call, with Secrets and keys put in, as the gateway takes it. Pure. */
import { hash } from 'node:crypto';
import type { RouteAccess, RoutePolicy } from '../../gateway/contract.ts';
import type { AuthPolicy, CorsPolicy, FunctionAccess } from '../../kinds/function.ts';

/** What has to be looked up. Absent is what is not there (yet): nobody is let in by it. */
export interface AccessSources {
  /** Data of a Secret, base64, by key. */
  secret(name: string): Record<string, string> | undefined;
  /** Keys behind a URL. */
  jwks(url: string): Record<string, unknown>[] | undefined;
}

export interface ResolvedAccess {
  access?: RouteAccess;
  rateLimit?: RoutePolicy['rateLimit'];
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];
const HEADERS = ['content-type', 'authorization', 'x-request-id'];
const API_KEY_HEADER = 'x-api-key';
const SIGNATURE_HEADER = 'x-hub-signature-256';

/** Access that lets nobody in: what cannot be understood must not open a function. */
export const NOBODY: ResolvedAccess = { access: { auth: {} } };

/** Names of the Secrets that it takes keys from. */
export function secretsOf({ auth }: FunctionAccess): string[] {
  const { apiKey, jwt, hmac } = auth ?? {};
  return [apiKey?.secret, jwt?.secret, hmac?.secret].filter((name) => name !== undefined);
}

/** Where it takes keys of tokens from. */
export function jwksUrlOf({ auth }: FunctionAccess): string | undefined {
  return auth?.jwt?.jwksUrl;
}

export function resolveAccess(spec: FunctionAccess, sources: AccessSources): ResolvedAccess {
  const { cors, auth, rateLimit } = spec;
  const access: RouteAccess = {
    ...(cors && { cors: corsOf(cors, auth) }),
    ...(auth && { auth: authOf(auth, sources) }),
  };
  const { requests = 0, seconds = 1, burst = requests, key = {} } = rateLimit ?? {};
  return {
    ...(Object.keys(access).length > 0 && { access }),
    ...(rateLimit && { rateLimit: { requests, periodMs: seconds * 1000, burst, key: lowerCase(key) } }),
  };
}

function lowerCase({ header, ...key }: NonNullable<NonNullable<FunctionAccess['rateLimit']>['key']>) {
  return header === undefined ? key : { header: header.toLowerCase() };
}

function corsOf(cors: CorsPolicy, auth: AuthPolicy | undefined): NonNullable<RouteAccess['cors']> {
  const own = auth?.apiKey ? [auth.apiKey.header ?? API_KEY_HEADER] : [];
  return {
    origins: cors.allowOrigins ?? [],
    methods: cors.allowMethods ?? METHODS,
    headers: cors.allowHeaders ?? [...HEADERS, ...own],
    expose: cors.exposeHeaders ?? [],
    credentials: cors.allowCredentials ?? false,
    ...(cors.maxAgeSeconds !== undefined && { maxAgeSeconds: cors.maxAgeSeconds }),
  };
}

/** What was written with an editor, or `echo`, ends with a line that is no part of a key. */
function plain(base64: string): string {
  return Buffer.from(base64, 'base64')
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

function authOf({ apiKey, jwt, hmac }: AuthPolicy, sources: AccessSources): NonNullable<RouteAccess['auth']> {
  const auth: NonNullable<RouteAccess['auth']> = {};
  if (apiKey) {
    const keys = Object.entries(sources.secret(apiKey.secret) ?? {}).filter(
      ([, value]) => plain(value) !== '',
    );
    auth.apiKeys = {
      header: apiKey.header ?? API_KEY_HEADER,
      digests: keys.map(([, value]) => hash('sha256', plain(value))),
      names: keys.map(([name]) => name),
    };
  }
  if (jwt) {
    const { issuer, audiences, requiredClaims, allowWithoutExpiry } = jwt;
    auth.jwt = {
      keys: jwtKeys(jwt, sources),
      ...(issuer !== undefined && { issuer }),
      ...(audiences !== undefined && { audiences }),
      ...(requiredClaims !== undefined && { claims: requiredClaims }),
      ...(allowWithoutExpiry && { withoutExpiry: true }),
    };
  }
  if (hmac) {
    const { secret } = sources.secret(hmac.secret) ?? {};
    auth.hmac = {
      header: hmac.header ?? SIGNATURE_HEADER,
      secrets: secret === undefined ? [] : [plain(secret)],
    };
  }
  return auth;
}

function jwtKeys(jwt: NonNullable<AuthPolicy['jwt']>, sources: AccessSources): Record<string, unknown>[] {
  const { jwks, secret } = (jwt.secret === undefined ? undefined : sources.secret(jwt.secret)) ?? {};
  const keys = jwt.jwksUrl === undefined ? [] : (sources.jwks(jwt.jwksUrl) ?? []);
  const written = jwks === undefined ? [] : (keySet(plain(jwks)) ?? []);
  const shared = secret === undefined || plain(secret) === '' ? [] : [plain(secret)];
  const own = shared.map((text) => ({ kty: 'oct', k: Buffer.from(text, 'utf8').toString('base64url') }));
  return [...keys, ...written, ...own];
}

/** The keys of a JWK Set (RFC 7517 §5); undefined when the text is none. */
export function keySet(text: string): Record<string, unknown>[] | undefined {
  try {
    const { keys } = JSON.parse(text) as { keys?: unknown };
    if (!Array.isArray(keys)) return undefined;
    return keys.filter((key) => typeof key === 'object' && key !== null && !Array.isArray(key));
  } catch {
    return undefined;
  }
}
