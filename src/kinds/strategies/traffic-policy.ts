/** TrafficPolicies: rules of our own. `traffic-policy.ts` of the folder above says what the fields mean. */
import { linearPattern } from '../../base/linear-pattern.ts';
import { forbidden, invalid, notSupported, required } from '../field.ts';
import { dns1035Label, dns1123Subdomain } from '../name.ts';
import type { FieldError, UntypedObject } from '../object.ts';
import type { ResourceStrategy } from '../resource.ts';
import { check } from './pod-parts.ts';
import { indexed, items, type Untyped } from './untyped.ts';

/** What a stranger's request is compared with is bounded, so that comparing it is. */
const MAX = { rules: 64, matches: 16, pattern: 256, text: 4096, name: 256, steps: 20 } as const;
const TARGETS = ['Service', 'Function', 'Route'];
const MATCHES = ['Exact', 'Prefix', 'RegularExpression', 'Present'];
const BALANCERS = ['LeastLoaded', 'RingHash'];
const RETRIED = ['connect-failure', 'reset', '502', '503', '504', '5xx'];
/** Source: RFC 9110, 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const DAY = 86_400;

/** Field → least and greatest value; `whole`: no fractions. A least value that is tiny means above zero. */
const TINY = 0.001;
const RANGES: [path: string, low: number, high: number, whole?: 'whole'][] = [
  ['sessionAffinity.ttlSeconds', TINY, 365 * DAY],
  ['mirror.percent', 0, 100],
  ['outlierDetection.consecutiveErrors', 1, 1000, 'whole'],
  ['outlierDetection.baseEjectionSeconds', TINY, DAY],
  ['outlierDetection.maxEjectionPercent', 0, 100, 'whole'],
  ['retries.attempts', 0, 10, 'whole'],
  ['retries.budgetPercent', 0, 100],
  ['retries.perTryTimeoutSeconds', TINY, DAY],
  ['timeouts.requestSeconds', TINY, DAY],
  ['timeouts.responseStartSeconds', TINY, DAY],
  ['timeouts.idleSeconds', TINY, DAY],
  ['rateLimit.requests', 1, 1_000_000_000, 'whole'],
  ['rateLimit.seconds', TINY, DAY],
  ['rateLimit.burst', 1, 1_000_000_000, 'whole'],
  ['circuitBreaker.errorPercent', TINY, 100],
  ['circuitBreaker.minRequests', 1, 1_000_000_000, 'whole'],
  ['circuitBreaker.openSeconds', TINY, DAY],
  ['circuitBreaker.maxInFlight', 1, 1_000_000, 'whole'],
  ['canary.intervalSeconds', TINY, DAY],
  ['canary.minRequests', 0, 1_000_000_000, 'whole'],
  ['canary.maxErrorPercent', 0, 100],
  ['canary.maxLatencyMs', TINY, DAY * 1000],
  ['canary.latencyPercentile', TINY, 100],
];

function validateRanges(spec: Untyped): FieldError[] {
  return RANGES.flatMap(([path, low, high, whole]) => {
    const [section = '', field = ''] = path.split('.');
    const value = spec[section]?.[field];
    if (value === undefined || value === null) return [];
    if (value >= low && value <= high && (whole === undefined || Number.isInteger(value))) return [];
    const from = low === TINY ? 'above 0 and' : `${low} or more and`;
    const kind = whole === undefined ? 'a number' : 'a whole number';
    return [invalid(`spec.${path}`, value, `must be ${kind}, ${from} at most ${high}`)];
  });
}

function validateTo(target: Untyped, path: string): FieldError[] {
  const { tag, revisionName } = target ?? {};
  if (tag && revisionName) return [forbidden(path, 'may not have both `tag` and `revisionName`')];
  if (!tag && !revisionName) return [required(path, 'must have one of `tag` and `revisionName`')];
  return tag
    ? check(dns1035Label, tag, `${path}.tag`)
    : check(dns1035Label, revisionName, `${path}.revisionName`);
}

function validateToken(value: Untyped, path: string): FieldError[] {
  if (!value) return [required(path)];
  if (value.length > MAX.name) return [invalid(path, value, `must have no more than ${MAX.name} characters`)];
  return TOKEN.test(value) ? [] : [invalid(path, value, "must be letters, digits and !#$%&'*+.^_`|~-")];
}

function validateMatch(match: Untyped, path: string): FieldError[] {
  const errors = validateToken(match.name, `${path}.name`);
  const type: string = match.type ?? 'Exact';
  const at = `${path}.value`;
  if (!MATCHES.includes(type)) return [...errors, notSupported(`${path}.type`, type, MATCHES)];
  const { value } = match;
  if (type === 'Present') return value ? [...errors, forbidden(at, 'type Present has none')] : errors;
  if (value === undefined || value === null) return [...errors, required(at)];
  return [
    ...errors,
    ...(type === 'RegularExpression' ? validatePattern(value, at) : validateText(value, at)),
  ];
}

function validateText(value: string, path: string): FieldError[] {
  return value.length > MAX.text
    ? [invalid(path, `${value.slice(0, 32)}…`, `must have no more than ${MAX.text} characters`)]
    : [];
}

/** A pattern that the gateway would not take is refused here, where somebody reads why. */
function validatePattern(value: string, path: string): FieldError[] {
  if (value.length > MAX.pattern) {
    const shown = `${value.slice(0, 32)}…`;
    return [invalid(path, shown, `a pattern must have no more than ${MAX.pattern} characters`)];
  }
  try {
    linearPattern(value);
    return [];
  } catch (error) {
    const why = (error as Error).message.replace(/^Invalid regular expression: .*\/l?: /s, '');
    return [
      invalid(
        path,
        value,
        why.includes('linear time')
          ? 'must be a pattern that matches in linear time: without look-around, back-references, inline flags and large repetitions'
          : `must be a regular expression: ${why}`,
      ),
    ];
  }
}

function validateRule(rule: Untyped, path: string): FieldError[] {
  const match = rule.match ?? {};
  const errors: FieldError[] = [];
  const at = `${path}.match`;
  if (items(match.headers).length + items(match.cookies).length === 0 && match.pathPrefix === undefined) {
    errors.push(required(at, 'must have one of `headers`, `cookies` and `pathPrefix`'));
  }
  for (const list of ['headers', 'cookies']) {
    if (items(match[list]).length > MAX.matches) {
      const count = items(match[list]).length;
      errors.push(invalid(`${at}.${list}`, count, `must have no more than ${MAX.matches} items`));
    }
    for (const [path, item] of indexed(match[list], `${at}.${list}`))
      errors.push(...validateMatch(item, path));
  }
  const prefix = match.pathPrefix;
  if (prefix !== undefined && (!prefix.startsWith('/') || /[?#\s]/.test(prefix))) {
    errors.push(invalid(`${at}.pathPrefix`, prefix, 'must begin with a slash and be a path, without query'));
  } else if (prefix !== undefined) errors.push(...validateText(prefix, `${at}.pathPrefix`));
  return [...errors, ...validateTo(rule.to, `${path}.to`)];
}

/** A header, a cookie, or neither. */
function validateKey(key: Untyped, path: string): FieldError[] {
  const { header, cookie } = key ?? {};
  if (header !== undefined && cookie !== undefined)
    return [forbidden(path, 'may not have both `header` and `cookie`')];
  if (header !== undefined) return validateToken(header, `${path}.header`);
  return cookie === undefined ? [] : validateToken(cookie, `${path}.cookie`);
}

function validateSteps(steps: Untyped, path: string): FieldError[] {
  if (steps === undefined || steps === null) return [];
  if (steps.length === 0 || steps.length > MAX.steps)
    return [invalid(path, steps, `must have 1 to ${MAX.steps} items`)];
  return indexed(steps, path).flatMap(([at, step], i) => {
    if (!(Number.isInteger(step) && step >= 1 && step <= 99))
      return [invalid(at, step, 'must be a whole number, 1 or more and at most 99')];
    return i > 0 && step <= steps[i - 1]
      ? [invalid(at, step, `must be more than the step before (${steps[i - 1]})`)]
      : [];
  });
}

function validateTarget(target: Untyped): FieldError[] {
  const path = 'spec.targetRef';
  const { kind, name } = target ?? {};
  const errors = !kind
    ? [required(`${path}.kind`)]
    : TARGETS.includes(kind)
      ? []
      : [notSupported(`${path}.kind`, kind, TARGETS)];
  return [...errors, ...(name ? check(dns1123Subdomain, name, `${path}.name`) : [required(`${path}.name`)])];
}

/** A part of a request cannot take longer than the whole. */
function validateTimeouts({ timeouts = {} }: Untyped): FieldError[] {
  const whole = timeouts?.requestSeconds;
  return ['responseStartSeconds', 'idleSeconds'].flatMap((field) =>
    typeof whole === 'number' && timeouts[field] > whole
      ? [invalid(`spec.timeouts.${field}`, timeouts[field], `must be at most requestSeconds (${whole})`)]
      : [],
  );
}

function validate({ spec = {} }: UntypedObject): FieldError[] {
  const errors = validateTarget(spec.targetRef);
  if (items(spec.rules).length > MAX.rules) {
    errors.push(invalid('spec.rules', items(spec.rules).length, `must have no more than ${MAX.rules} items`));
  }
  for (const [at, rule] of indexed(spec.rules, 'spec.rules')) errors.push(...validateRule(rule, at));
  const { sessionAffinity, mirror, loadBalancing: balancing, retries, circuitBreaker: breaker } = spec;
  if (sessionAffinity?.cookie !== undefined) {
    errors.push(...validateToken(sessionAffinity.cookie, 'spec.sessionAffinity.cookie'));
  }
  if (mirror) errors.push(...validateTo(mirror.to, 'spec.mirror.to'));
  if (balancing?.policy !== undefined && !BALANCERS.includes(balancing.policy)) {
    errors.push(notSupported('spec.loadBalancing.policy', balancing.policy, BALANCERS));
  }
  if (balancing?.hashOn && balancing.policy !== 'RingHash') {
    errors.push(forbidden('spec.loadBalancing.hashOn', 'only policy RingHash hashes'));
  }
  errors.push(...validateKey(balancing?.hashOn, 'spec.loadBalancing.hashOn'));
  for (const [at, on] of indexed(retries?.on, 'spec.retries.on')) {
    if (!RETRIED.includes(on)) errors.push(notSupported(at, on, RETRIED));
  }
  if (spec.rateLimit && typeof spec.rateLimit.requests !== 'number') {
    errors.push(required('spec.rateLimit.requests'));
  }
  errors.push(...validateKey(spec.rateLimit?.key, 'spec.rateLimit.key'));
  if (breaker && breaker.errorPercent === undefined && breaker.maxInFlight === undefined) {
    errors.push(required('spec.circuitBreaker', 'must have one of `errorPercent` and `maxInFlight`'));
  }
  errors.push(...validateSteps(spec.canary?.steps, 'spec.canary.steps'));
  return [...errors, ...validateRanges(spec), ...validateTimeouts(spec)];
}

export const TRAFFIC_POLICY_STRATEGY: ResourceStrategy = { validate };
