/** Refusals as the API words them. Clients decide by `reason`, people read `message`. Source: apimachinery `api/errors`. */
import type { FieldError, Status } from '../../kinds/object.ts';
import type { ResourceDefinition } from '../../kinds/resource.ts';

/** A request that is answered with a failure Status. */
export class ApiError extends Error {
  readonly status: Status;
  readonly code: number;
  /** Lower-case names. */
  readonly headers: Record<string, string>;

  constructor(code: number, reason: string, message: string, details?: Status['details']) {
    super(message);
    this.code = code;
    this.headers =
      details?.retryAfterSeconds === undefined ? {} : { 'retry-after': String(details.retryAfterSeconds) };
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      reason,
      ...(details === undefined ? {} : { details }),
      code,
    };
  }
}

type Named = Pick<ResourceDefinition, 'group' | 'plural' | 'kind'>;

/** `pods`, `functions.petrel.dev`. */
const resourceName = ({ group, plural }: Pick<Named, 'group' | 'plural'>): string =>
  group === '' ? plural : `${plural}.${group}`;
const kindName = ({ group, kind }: Pick<Named, 'group' | 'kind'>): string =>
  group === '' ? kind : `${kind}.${group}`;
const details = ({ group, plural }: Named, name: string): NonNullable<Status['details']> => ({
  ...(name === '' ? {} : { name }),
  ...(group === '' ? {} : { group }),
  kind: plural,
});

export const notFound = (resource: Named, name: string): ApiError =>
  new ApiError(
    404,
    'NotFound',
    `${resourceName(resource)} ${JSON.stringify(name)} not found`,
    details(resource, name),
  );

/** No resource is served at this path. */
export const noSuchPath = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});

export const alreadyExists = (resource: Named, name: string, prefix = ''): ApiError =>
  new ApiError(
    409,
    'AlreadyExists',
    `${prefix}${resourceName(resource)} ${JSON.stringify(name)} already exists`,
    details(resource, name),
  );

/** The object is not what the client thinks it is. */
export const conflict = (resource: Named, name: string, why = CHANGED): ApiError =>
  new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${resourceName(resource)} ${JSON.stringify(name)}: ${why}`,
    details(resource, name),
  );
const CHANGED = 'the object has been modified; please apply your changes to the latest version and try again';

/** One or more fields are wrong; nothing was written. */
export function invalid(
  resource: Pick<Named, 'group' | 'kind'>,
  name: string,
  errors: FieldError[],
): ApiError {
  const texts = [...new Set(errors.map((e) => `${e.field}: ${e.message}`))];
  const list = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  return new ApiError(422, 'Invalid', `${kindName(resource)} ${JSON.stringify(name)} is invalid: ${list}`, {
    ...(name === '' ? {} : { name }),
    ...(resource.group === '' ? {} : { group: resource.group }),
    kind: resource.kind,
    causes: errors.map((e) => ({ reason: e.reason, message: e.message, field: e.field })),
  });
}

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message);

export const forbidden = (
  resource: Named,
  name: string,
  why: string,
  causes?: NonNullable<Status['details']>['causes'],
): ApiError =>
  new ApiError(
    403,
    'Forbidden',
    `${resourceName(resource)}${name === '' ? '' : ` ${JSON.stringify(name)}`} is forbidden: ${why}`,
    { ...details(resource, name), ...(causes === undefined ? {} : { causes }) },
  );

export const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized');

export const methodNotAllowed = (): ApiError =>
  new ApiError(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    {},
  );

export const notAcceptable = (accepted: string[]): ApiError =>
  new ApiError(406, 'NotAcceptable', `only the following media types are accepted: ${accepted.join(', ')}`);

export const unsupportedMediaType = (accepted: string[]): ApiError =>
  new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );

export const tooLarge = (limit: number): ApiError =>
  new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${limit}`);

/** What the client wants to go on from is no longer known; it lists again. */
export const expired = (message: string): ApiError => new ApiError(410, 'Expired', message);

/** The client has seen a revision this server has not. */
export const futureRevision = (asked: number, current: number): ApiError =>
  new ApiError(504, 'Timeout', `Too large resource version: ${asked}, current: ${current}`, {
    retryAfterSeconds: 1,
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
  });

export const tooManyRequests = (message: string, retryAfterSeconds: number): ApiError =>
  new ApiError(429, 'TooManyRequests', message, { retryAfterSeconds });

export const unavailable = (message: string): ApiError =>
  new ApiError(503, 'ServiceUnavailable', message, { retryAfterSeconds: 1 });

export const internal = (message: string): ApiError =>
  new ApiError(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] });
