/**
 * Rules for the parts of a container that Functions have too: environment, volumes, mounts, resources.
 * Source: kubernetes `pkg/apis/core/validation`, 1.32.
 */
import { duplicate, forbidden, invalid, notFound, required } from '../field.ts';
import { configMapKey, dns1123Label, dns1123Subdomain, envVarName, qualifiedName } from '../name.ts';
import type { FieldError } from '../object.ts';
import { parseQuantity } from '../quantity.ts';
import { indexed, type Untyped } from './untyped.ts';

/** Problems of a value by a name rule, as field errors. */
export const check = (rule: (value: string) => string[], value: string, path: string): FieldError[] =>
  rule(value).map((message) => invalid(path, value, message));

const ENV_SOURCES = ['fieldRef', 'resourceFieldRef', 'configMapKeyRef', 'secretKeyRef'];

function validateKeySelector(selector: Untyped, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!selector.name) errors.push(required(`${path}.name`));
  else errors.push(...check(dns1123Subdomain, selector.name, `${path}.name`));
  if (!selector.key) errors.push(required(`${path}.key`));
  else errors.push(...check(configMapKey, selector.key, `${path}.key`));
  return errors;
}

/** `env` of a container. */
export function validateEnv(env: Untyped, path: string): FieldError[] {
  return indexed(env, path).flatMap(([at, variable]) => {
    const errors = variable.name ? check(envVarName, variable.name, `${at}.name`) : [required(`${at}.name`)];
    const { valueFrom } = variable;
    if (!valueFrom) return errors;
    const from = `${at}.valueFrom`;
    const sources = ENV_SOURCES.filter((source) => valueFrom[source]);
    if (valueFrom.fieldRef && !valueFrom.fieldRef.fieldPath)
      errors.push(required(`${from}.fieldRef.fieldPath`));
    if (valueFrom.resourceFieldRef && !valueFrom.resourceFieldRef.resource) {
      errors.push(required(`${from}.resourceFieldRef.resource`));
    }
    for (const source of ['configMapKeyRef', 'secretKeyRef']) {
      if (valueFrom[source]) errors.push(...validateKeySelector(valueFrom[source], `${from}.${source}`));
    }
    const oneOf = ENV_SOURCES.map((source) => `\`${source}\``);
    if (sources.length === 0) {
      errors.push(
        invalid(from, '', `must specify one of: ${oneOf.slice(0, -1).join(', ')} or ${oneOf.at(-1)}`),
      );
    } else if (variable.value)
      errors.push(invalid(from, '', 'may not be specified when `value` is not empty'));
    else if (sources.length > 1) {
      errors.push(invalid(from, '', 'may not have more than one field specified at a time'));
    }
    return errors;
  });
}

/** `envFrom` of a container. */
export function validateEnvFrom(envFrom: Untyped, path: string): FieldError[] {
  return indexed(envFrom, path).flatMap(([at, source]) => {
    const errors = source.prefix ? check(envVarName, source.prefix, `${at}.prefix`) : [];
    const refs = ['configMapRef', 'secretRef'].filter((ref) => source[ref]);
    for (const ref of refs) {
      const { name } = source[ref];
      if (!name) errors.push(required(`${at}.${ref}.name`));
      else errors.push(...check(dns1123Subdomain, name, `${at}.${ref}.name`));
    }
    if (refs.length === 0)
      errors.push(invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'));
    else if (refs.length > 1) {
      errors.push(invalid(path, '', 'may not have more than one field specified at a time'));
    }
    return errors;
  });
}

/** A path inside a volume: relative, and never upwards. */
export function validateDescendingPath(value: string, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (value.startsWith('/')) errors.push(invalid(path, value, 'must be a relative path'));
  if (value.split('/').includes('..')) errors.push(invalid(path, value, "must not contain '..'"));
  return errors;
}

const MODE = 'must be a number between 0 and 0777 (octal), both inclusive';

function validateMode(mode: Untyped, path: string): FieldError[] {
  return typeof mode === 'number' && (mode < 0 || mode > 0o777) ? [invalid(path, mode, MODE)] : [];
}

function validateItems(list: Untyped, path: string): FieldError[] {
  return indexed(list, path).flatMap(([at, item]) => {
    const errors: FieldError[] = [];
    if (!item.key) errors.push(required(`${at}.key`));
    if (!item.path) errors.push(required(`${at}.path`));
    else {
      errors.push(...validateDescendingPath(item.path, `${at}.path`));
      if (item.path.startsWith('..') && !item.path.startsWith('../') && item.path !== '..') {
        errors.push(invalid(`${at}.path`, item.path, "must not start with '..'"));
      }
    }
    return [...errors, ...validateMode(item.mode, `${at}.mode`)];
  });
}

/** What each volume source must have. */
const SOURCE_RULES: Record<string, (source: Untyped, path: string) => FieldError[]> = {
  secret: (source, path) => [
    ...(source.secretName ? [] : [required(`${path}.secretName`)]),
    ...validateMode(source.defaultMode, `${path}.defaultMode`),
    ...validateItems(source.items, `${path}.items`),
  ],
  configMap: (source, path) => [
    ...(source.name ? [] : [required(`${path}.name`)]),
    ...validateMode(source.defaultMode, `${path}.defaultMode`),
    ...validateItems(source.items, `${path}.items`),
  ],
  emptyDir: (source, path) =>
    source.sizeLimit !== undefined && parseQuantity(source.sizeLimit) < 0
      ? [forbidden(`${path}.sizeLimit`, 'SizeLimit field must be a valid resource quantity')]
      : [],
  hostPath: (source, path) => {
    if (!source.path) return [required(`${path}.path`)];
    return source.path.split('/').includes('..')
      ? [invalid(`${path}.path`, source.path, "must not contain '..'")]
      : [];
  },
  persistentVolumeClaim: (source, path) => (source.claimName ? [] : [required(`${path}.claimName`)]),
  projected: (source, path) => validateMode(source.defaultMode, `${path}.defaultMode`),
  downwardAPI: (source, path) => validateMode(source.defaultMode, `${path}.defaultMode`),
};

/** `volumes` of a pod. */
export function validateVolumes(volumes: Untyped, path: string): FieldError[] {
  const seen = new Set<string>();
  return indexed(volumes, path).flatMap(([at, volume]) => {
    const errors: FieldError[] = [];
    if (!volume.name) errors.push(required(`${at}.name`));
    else {
      errors.push(...check(dns1123Label, volume.name, `${at}.name`));
      if (seen.has(volume.name)) errors.push(duplicate(`${at}.name`, volume.name));
      seen.add(volume.name);
    }
    const sources = Object.keys(volume).filter((key) => key !== 'name' && volume[key] !== null);
    if (sources.length === 0) errors.push(required(at, 'must specify a volume type'));
    for (const extra of sources.slice(1)) {
      errors.push(forbidden(`${at}.${extra}`, 'may not specify more than 1 volume type'));
    }
    const [source] = sources;
    if (source !== undefined)
      errors.push(...(SOURCE_RULES[source]?.(volume[source], `${at}.${source}`) ?? []));
    return errors;
  });
}

/** `volumeMounts` of a container, against the names of the pod's volumes. */
export function validateMounts(mounts: Untyped, path: string, volumes: Set<string>): FieldError[] {
  const seen = new Set<string>();
  return indexed(mounts, path).flatMap(([at, mount]) => {
    const errors: FieldError[] = [];
    if (!mount.name) errors.push(required(`${at}.name`));
    if (!volumes.has(mount.name)) errors.push(notFound(`${at}.name`, mount.name ?? ''));
    if (!mount.mountPath) errors.push(required(`${at}.mountPath`));
    else if (seen.has(mount.mountPath)) {
      errors.push(invalid(`${at}.mountPath`, mount.mountPath, 'must be unique'));
    }
    seen.add(mount.mountPath);
    if (mount.subPath) errors.push(...validateDescendingPath(mount.subPath, `${path}.subPath`));
    if (mount.subPathExpr && mount.subPath) {
      errors.push(
        invalid(`${at}.subPathExpr`, mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'),
      );
    }
    return errors;
  });
}

const STANDARD_RESOURCES = /^(cpu|memory|ephemeral-storage|hugepages-.+)$/;

/** `resources` of a container: known names, no negative amounts, requests within limits. */
export function validateResources(resources: Untyped, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const limits: Record<string, string> = resources?.limits ?? {};
  const requests: Record<string, string> = resources?.requests ?? {};
  for (const [list, at] of [
    [limits, `${path}.limits`],
    [requests, `${path}.requests`],
  ] as const) {
    for (const [name, quantity] of Object.entries(list)) {
      errors.push(...check(qualifiedName, name, at));
      if (!STANDARD_RESOURCES.test(name) && !name.includes('/')) {
        errors.push(invalid(at, name, 'must be a standard resource for containers'));
      }
      if (parseQuantity(quantity) < 0) {
        errors.push(invalid(`${at}[${name}]`, quantity, 'must be greater than or equal to 0'));
      }
    }
  }
  for (const [name, request] of Object.entries(requests)) {
    const limit = limits[name];
    if (limit !== undefined && parseQuantity(request) > parseQuantity(limit)) {
      errors.push(
        invalid(`${path}.requests`, request, `must be less than or equal to ${name} limit of ${limit}`),
      );
    }
  }
  return errors;
}
