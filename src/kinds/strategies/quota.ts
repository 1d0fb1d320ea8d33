/** ResourceQuotas. Source: kubernetes `ValidateResourceQuotaSpec`, 1.32. */
import { isDeepStrictEqual } from 'node:util';
import { forbidden, IMMUTABLE, invalid, notSupported } from '../field.ts';
import type { FieldError } from '../object.ts';
import { isCounted, isQuotaName, limitOf, QUOTA_SCOPES } from '../quota.ts';
import type { ResourceStrategy } from '../resource.ts';
import { indexed } from './untyped.ts';

function validateLimit(name: string, text: string, path: string): FieldError[] {
  if (!isQuotaName(name)) return [invalid(path, name, 'must be a standard resource for quota')];
  const limit = limitOf(name, text);
  if (Number.isNaN(limit)) return [invalid(path, text, 'must be a quantity such as "2", "500m" or "1Gi"')];
  if (limit < 0) return [invalid(path, text, 'must be greater than or equal to 0')];
  return isCounted(name) && !Number.isInteger(limit) ? [invalid(path, text, 'must be an integer')] : [];
}

export const QUOTA_STRATEGY: ResourceStrategy = {
  setDefaults(quota) {
    quota.spec ??= {};
    // Quantities may come as numbers and are kept as text.
    for (const [name, limit] of Object.entries(quota.spec.hard ?? {}))
      if (typeof limit === 'number') quota.spec.hard[name] = String(limit);
  },
  validate({ spec = {} }) {
    const errors = Object.entries<string>(spec.hard ?? {}).flatMap(([name, text]) =>
      validateLimit(name, text, `spec.hard[${name}]`),
    );
    for (const [at, scope] of indexed(spec.scopes, 'spec.scopes'))
      if (!QUOTA_SCOPES.includes(scope)) errors.push(notSupported(at, scope, QUOTA_SCOPES));
    if (spec.scopeSelector !== undefined && spec.scopeSelector !== null)
      errors.push(
        forbidden('spec.scopeSelector', `is not supported; spec.scopes takes ${QUOTA_SCOPES.join(', ')}`),
      );
    return errors;
  },
  validateUpdate: (quota, old) =>
    isDeepStrictEqual(quota.spec?.scopes ?? [], old.spec?.scopes ?? [])
      ? []
      : [invalid('spec.scopes', quota.spec?.scopes, IMMUTABLE)],
};
