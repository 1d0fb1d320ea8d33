/** FunctionAliases: rules of our own. */
import { invalid, required } from '../field.ts';
import { dns1035Label, dns1123Subdomain } from '../name.ts';
import type { FieldError, UntypedObject } from '../object.ts';
import type { ResourceStrategy } from '../resource.ts';
import { check } from './pod-parts.ts';

function validateAlias({ metadata, spec = {} }: UntypedObject): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec.function) errors.push(required('spec.function', 'name of a Function'));
  else errors.push(...check(dns1035Label, spec.function, 'spec.function'));
  if (spec.function === metadata.name)
    errors.push(
      invalid('metadata.name', metadata.name, 'must not be the name of the function: its Route has it'),
    );
  if (spec.revisionName !== undefined)
    errors.push(...check(dns1123Subdomain, spec.revisionName, 'spec.revisionName'));
  const { secondary } = spec;
  if (secondary === undefined || secondary === null) return errors;
  if (!secondary.revisionName) errors.push(required('spec.secondary.revisionName', 'name of a Revision'));
  else errors.push(...check(dns1123Subdomain, secondary.revisionName, 'spec.secondary.revisionName'));
  if (spec.revisionName !== undefined && secondary.revisionName === spec.revisionName)
    errors.push(
      invalid('spec.secondary.revisionName', secondary.revisionName, 'must not be spec.revisionName'),
    );
  const { percent } = secondary;
  if (!Number.isInteger(percent) || percent < 1 || percent > 99)
    errors.push(invalid('spec.secondary.percent', percent, 'must be between 1 and 99, inclusive'));
  return errors;
}

export const FUNCTION_ALIAS_STRATEGY: ResourceStrategy = {
  validate: validateAlias,
  validateUpdate: (object, old) =>
    object.spec?.function === old.spec?.function
      ? []
      : [invalid('spec.function', object.spec?.function, 'field is immutable')],
};
