/** Who may call a Function, what makes its requests stay with an instance, and instances for one request: rules of their own. */
import { forbidden, invalid, required } from '../field.ts';
import { dns1123Subdomain } from '../name.ts';
import type { FieldError } from '../object.ts';
import { typeErrors, unknownFields } from '../strict.ts';
import { check } from './pod-parts.ts';
import { indexed, items, type Untyped } from './untyped.ts';

/** Source: RFC 9110, 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const MAX_NAME = 256;
const DAY = 86_400;
const BILLION = 1_000_000_000;
/** A scheme, a host whose first label may be `*`, and a port: an origin has nothing else. */
const ORIGIN =
  /^[a-z][a-z0-9+.-]*:\/\/(?:\*\.)?(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?$/;
/** Hosts that are reached without leaving the machine or the cluster. */
const NEAR = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\]|.+\.(?:localhost|svc|svc\.cluster\.local))$/;

function validateToken(value: Untyped, path: string): FieldError[] {
  if (value === undefined || value === null) return [];
  if (value.length > MAX_NAME) return [invalid(path, value, `must have no more than ${MAX_NAME} characters`)];
  return TOKEN.test(value) ? [] : [invalid(path, value, "must be letters, digits and !#$%&'*+.^_`|~-")];
}

function validateNumber(value: Untyped, path: string, low: number, high: number): FieldError[] {
  if (value === undefined || value === null) return [];
  if (Number.isInteger(value) && value >= low && value <= high) return [];
  return [invalid(path, value, `must be between ${low} and ${high}, inclusive`)];
}

function validateSecret(holder: Untyped, path: string): FieldError[] {
  const at = `${path}.secret`;
  if (!holder.secret) return [required(at, 'name of a Secret')];
  return check(dns1123Subdomain, holder.secret, at);
}

function validateCors(cors: Untyped, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const origins = items(cors.allowOrigins);
  if (origins.length === 0) errors.push(required(`${path}.allowOrigins`, 'at least one origin, or "*"'));
  for (const [at, origin] of indexed(cors.allowOrigins, `${path}.allowOrigins`)) {
    if (origin === '*' || origin === 'null' || ORIGIN.test(origin)) continue;
    errors.push(invalid(at, origin, 'must be an origin such as "https://app.example.com", or "*"'));
  }
  if (cors.allowCredentials && origins.includes('*')) {
    errors.push(
      invalid(`${path}.allowOrigins`, '*', 'any origin cannot be allowed together with credentials'),
    );
  }
  for (const [at, method] of indexed(cors.allowMethods, `${path}.allowMethods`)) {
    errors.push(...validateToken(method, at));
    if (method !== method.toUpperCase()) errors.push(invalid(at, method, 'must be in upper case'));
  }
  for (const field of ['allowHeaders', 'exposeHeaders']) {
    for (const [at, name] of indexed(cors[field], `${path}.${field}`))
      errors.push(...validateToken(name, at));
  }
  return [...errors, ...validateNumber(cors.maxAgeSeconds, `${path}.maxAgeSeconds`, 0, DAY)];
}

function validateJwksUrl(value: string, path: string): FieldError[] {
  const url = URL.parse(value);
  if (url === null || !/^https?:$/.test(url.protocol))
    return [invalid(path, value, 'must be an http(s) URL')];
  if (url.username || url.password) return [invalid(path, url.origin, 'must have no user name or password')];
  if (url.protocol === 'https:' || NEAR.test(url.hostname)) return [];
  return [invalid(path, value, 'must be https: who can change the keys on their way can call the function')];
}

function validateJwt(jwt: Untyped, path: string): FieldError[] {
  const { jwksUrl, secret } = jwt;
  if (jwksUrl && secret) return [forbidden(path, 'may not have both `jwksUrl` and `secret`')];
  if (!jwksUrl && !secret) return [required(path, 'must have one of `jwksUrl` and `secret`')];
  return jwksUrl ? validateJwksUrl(jwksUrl, `${path}.jwksUrl`) : validateSecret(jwt, path);
}

function validateAuth({ apiKey, jwt, hmac }: Untyped, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!apiKey && !jwt && !hmac) errors.push(required(path, 'must have one of `apiKey`, `jwt` and `hmac`'));
  for (const [name, holder] of Object.entries({ apiKey, hmac })) {
    if (!holder) continue;
    const at = `${path}.${name}`;
    errors.push(...validateSecret(holder, at), ...validateToken(holder.header, `${at}.header`));
  }
  return jwt ? [...errors, ...validateJwt(jwt, `${path}.jwt`)] : errors;
}

function validateRateLimit({ requests, seconds, burst, key = {} }: Untyped, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (requests === undefined) errors.push(required(`${path}.requests`));
  if (seconds !== undefined && !(seconds > 0 && seconds <= DAY)) {
    errors.push(invalid(`${path}.seconds`, seconds, `must be above 0 and at most ${DAY}`));
  }
  if (key.header && key.cookie)
    errors.push(forbidden(`${path}.key`, 'may not have both `header` and `cookie`'));
  return [
    ...errors,
    ...validateNumber(requests, `${path}.requests`, 1, BILLION),
    ...validateNumber(burst, `${path}.burst`, 1, BILLION),
    ...validateToken(key.header, `${path}.key.header`),
    ...validateToken(key.cookie, `${path}.key.cookie`),
  ];
}

function validateSticky({ header, queryParameter }: Untyped, path: string): FieldError[] {
  if (header && queryParameter) return [forbidden(path, 'may not have both `header` and `queryParameter`')];
  if (!header && !queryParameter) return [required(path, 'must have one of `header` and `queryParameter`')];
  return validateToken(header, `${path}.header`);
}

/** Types of the fields that an annotation of a Service can hold as JSON. */
const ANNOTATED = { access: 'dev.petrel.v1.FunctionAccess', sticky: 'dev.petrel.v1.FunctionSticky' } as const;

/** A field of a Function as an annotation holds it; or what is wrong with it, in which case nothing of it can be relied on. */
export function readAnnotated<T>(
  field: keyof typeof ANNOTATED,
  text: string,
): { value: T; problems: [] } | { value: undefined; problems: string[] } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { value: undefined, problems: [`it is no JSON of a Function's \`${field}\``] };
  }
  const type = ANNOTATED[field];
  const shape = [...typeErrors(value, type), ...unknownFields(value, type)];
  const rules = () => validateAccess({ [field]: value }).map(({ field: at, message }) => `${at}: ${message}`);
  const problems = shape.length > 0 ? shape : rules();
  return problems.length === 0 ? { value: value as T, problems: [] } : { value: undefined, problems };
}

/** Problems of `access`, `sticky` and `onceOnly` of a Function's spec. */
export function validateAccess({ access, sticky, onceOnly, concurrency }: Untyped): FieldError[] {
  const { cors, auth, rateLimit } = access ?? {};
  const errors: FieldError[] = [
    ...(cors ? validateCors(cors, 'spec.access.cors') : []),
    ...(auth ? validateAuth(auth, 'spec.access.auth') : []),
    ...(rateLimit ? validateRateLimit(rateLimit, 'spec.access.rateLimit') : []),
    ...(sticky ? validateSticky(sticky, 'spec.sticky') : []),
  ];
  if (onceOnly && concurrency > 1) {
    errors.push(invalid('spec.concurrency', concurrency, 'must be 1 or left out where `onceOnly` is set'));
  }
  if (onceOnly && sticky)
    errors.push(forbidden('spec.sticky', 'no instance has a second request with `onceOnly`'));
  return errors;
}
