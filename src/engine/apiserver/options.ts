/** Query parameters of lists and watches, with upstream's refusals. Source: apimachinery `internalversion/validation`. */
import type { FieldError } from '../../kinds/object.ts';
import { badRequest, invalid } from './errors.ts';

export interface ListParameters {
  /** Empty: the newest. `0`: any. */
  resourceVersion: string;
  resourceVersionMatch: string;
  /** 0: no limit. */
  limit: number;
  continue: string;
}

export interface WatchParameters {
  resourceVersion: string;
  /** Undefined: not said. */
  sendInitialEvents: boolean | undefined;
  allowWatchBookmarks: boolean;
  /** Undefined: the server chooses. */
  timeoutSeconds: number | undefined;
}

const OPTIONS = { group: 'meta.k8s.io', kind: 'ListOptions' };
const MATCHES = ['Exact', 'NotOlderThan'];
const match = (reason: string, message: string): FieldError => ({
  field: 'resourceVersionMatch',
  reason: reason === 'Forbidden' ? 'FieldValueForbidden' : 'FieldValueNotSupported',
  message: `${reason === 'Forbidden' ? 'Forbidden' : 'Unsupported value'}: ${message}`,
});

/** A boolean as Go reads it from a query: present without a value is true. */
export function flag(query: URLSearchParams, name: string): boolean | undefined {
  const value = query.get(name);
  if (value === null) return undefined;
  return !(value === 'false' || value === '0');
}

/** A number from the query; throws 400 for what is none. */
export function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^-?\d{1,15}$/.test(text)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Number(text);
}

function refuse(errors: FieldError[]): void {
  if (errors.length > 0) throw invalid(OPTIONS, '', errors);
}

export function listParameters(query: URLSearchParams): ListParameters {
  const resourceVersion = query.get('resourceVersion') ?? '';
  const resourceVersionMatch = query.get('resourceVersionMatch') ?? '';
  const token = query.get('continue') ?? '';
  const errors: FieldError[] = [];
  if (resourceVersionMatch !== '') {
    if (resourceVersion === '') {
      errors.push(match('Forbidden', 'resourceVersionMatch is forbidden unless resourceVersion is provided'));
    }
    if (token !== '') {
      errors.push(match('Forbidden', 'resourceVersionMatch is forbidden when continue is provided'));
    }
    if (!MATCHES.includes(resourceVersionMatch)) {
      errors.push(
        match(
          'NotSupported',
          `${JSON.stringify(resourceVersionMatch)}: supported values: "Exact", "NotOlderThan", ""`,
        ),
      );
    }
    if (resourceVersionMatch === 'Exact' && resourceVersion === '0') {
      errors.push(match('Forbidden', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'));
    }
  }
  if (query.has('sendInitialEvents')) {
    errors.push({
      field: 'sendInitialEvents',
      reason: 'FieldValueForbidden',
      message: 'Forbidden: sendInitialEvents is forbidden for list',
    });
  }
  refuse(errors);
  if (token !== '' && resourceVersion !== '' && resourceVersion !== '0') {
    throw badRequest('specifying resource version is not allowed when using continue');
  }
  revisionOf(resourceVersion);
  return {
    resourceVersion,
    resourceVersionMatch,
    limit: Math.max(0, wholeNumber(query, 'limit') ?? 0),
    continue: token,
  };
}

export function watchParameters(query: URLSearchParams): WatchParameters {
  const resourceVersionMatch = query.get('resourceVersionMatch') ?? '';
  const sendInitialEvents = flag(query, 'sendInitialEvents');
  const errors: FieldError[] = [];
  if (sendInitialEvents !== undefined && resourceVersionMatch !== 'NotOlderThan') {
    errors.push(
      match('Forbidden', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'),
    );
  }
  if (resourceVersionMatch !== '') {
    if (sendInitialEvents === undefined) {
      errors.push(
        match(
          'Forbidden',
          'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
        ),
      );
    }
    if (resourceVersionMatch !== 'NotOlderThan') {
      errors.push(
        match('NotSupported', `${JSON.stringify(resourceVersionMatch)}: supported values: "NotOlderThan"`),
      );
    }
    if (query.get('continue')) {
      errors.push(match('Forbidden', 'resourceVersionMatch is forbidden when continue is provided'));
    }
  }
  refuse(errors);
  return {
    resourceVersion: query.get('resourceVersion') ?? '',
    sendInitialEvents,
    allowWatchBookmarks: flag(query, 'allowWatchBookmarks') ?? false,
    timeoutSeconds: wholeNumber(query, 'timeoutSeconds'),
  };
}

/** `resourceVersion` as a number; 0 for none. Throws 422 for what is no revision. */
export function revisionOf(resourceVersion: string): number {
  if (resourceVersion === '') return 0;
  if (!/^\d{1,15}$/.test(resourceVersion)) {
    throw invalid(OPTIONS, '', [
      {
        field: 'resourceVersion',
        reason: 'FieldValueInvalid',
        message: `Invalid value: ${JSON.stringify(resourceVersion)}: strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`,
      },
    ]);
  }
  return Number(resourceVersion);
}
