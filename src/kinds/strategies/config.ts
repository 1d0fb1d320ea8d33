/** ConfigMaps and Secrets. Source: kubernetes `ValidateConfigMap`, `ValidateSecret`, 1.32. */
import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';
import { configMapProblem, SERVING_NAMESPACE } from '../config/index.ts';
import { forbidden, IMMUTABLE, invalid, required, tooLong } from '../field.ts';
import { configMapKey } from '../name.ts';
import type { FieldError, UntypedObject } from '../object.ts';
import type { ResourceStrategy } from '../resource.ts';

const eventing = () =>
  createRequire(import.meta.url)('../config/eventing.ts') as typeof import('../config/eventing.ts');
const MAX_BYTES = 1024 * 1024;
const WHEN_IMMUTABLE = 'field is immutable when `immutable` is set';

type Data = Record<string, string>;

const textBytes = (value: string): number => Buffer.byteLength(value);
const base64Bytes = (value: string): number => Buffer.byteLength(value, 'base64');
const isBase64 = (value: string): boolean =>
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value);

function validateKeys(data: Data | undefined, path: string): FieldError[] {
  return Object.keys(data ?? {}).flatMap((key) =>
    configMapKey(key).map((message) => invalid(`${path}[${key}]`, key, message)),
  );
}

function validateBase64(data: Data | undefined, path: string): FieldError[] {
  return Object.entries(data ?? {}).flatMap(([key, value]) =>
    isBase64(value) ? [] : [invalid(`${path}[${key}]`, '<redacted>', 'illegal base64 data')],
  );
}

/** A mark that can be set but not taken away, and that freezes the given fields. */
function validateImmutable(object: UntypedObject, old: UntypedObject, fields: string[]): FieldError[] {
  if (old.immutable !== true) return [];
  const errors = object.immutable === true ? [] : [forbidden('immutable', WHEN_IMMUTABLE)];
  for (const field of fields) {
    if (!isDeepStrictEqual(object[field] ?? {}, old[field] ?? {}))
      errors.push(forbidden(field, WHEN_IMMUTABLE));
  }
  return errors;
}

const total = (data: Data | undefined, bytes: (value: string) => number): number =>
  Object.values(data ?? {}).reduce((sum, value) => sum + bytes(value), 0);

export const CONFIGMAP_STRATEGY: ResourceStrategy = {
  // Knative's own ConfigMaps mean something: what cannot be used is refused when it is written, not found out later.
  deny({ metadata, data }) {
    const [area, problem] =
      metadata.namespace === SERVING_NAMESPACE
        ? ['serving', configMapProblem(metadata.name, data ?? {}, metadata.annotations)]
        : metadata.namespace === 'knative-eventing'
          ? ['eventing', eventing().eventingConfigMapProblem(metadata.name, data ?? {})]
          : [];
    return problem === undefined
      ? undefined
      : `admission webhook "config.webhook.${area}.knative.dev" denied the request: validation failed: ${problem}`;
  },
  validate({ data, binaryData }) {
    const errors = [
      ...validateKeys(data, 'data'),
      ...Object.keys(data ?? {}).flatMap((key) =>
        Object.hasOwn(binaryData ?? {}, key)
          ? [invalid(`data[${key}]`, key, 'duplicate of key present in binaryData')]
          : [],
      ),
      ...validateKeys(binaryData, 'binaryData'),
      ...validateBase64(binaryData, 'binaryData'),
    ];
    if (total(data, textBytes) + total(binaryData, base64Bytes) > MAX_BYTES)
      errors.push(tooLong('', MAX_BYTES));
    return errors;
  },
  validateUpdate: (object, old) => validateImmutable(object, old, ['data', 'binaryData']),
};

/** What a Secret of a well-known type must hold; each list is alternatives. */
const TYPE_KEYS: Record<string, string[][]> = {
  'kubernetes.io/dockercfg': [['.dockercfg']],
  'kubernetes.io/dockerconfigjson': [['.dockerconfigjson']],
  'kubernetes.io/basic-auth': [['username', 'password']],
  'kubernetes.io/ssh-auth': [['ssh-privatekey']],
  'kubernetes.io/tls': [['tls.crt'], ['tls.key']],
};
const SERVICE_ACCOUNT_NAME = 'kubernetes.io/service-account.name';

function validateType(secret: UntypedObject): FieldError[] {
  const data: Data = secret.data ?? {};
  const errors = (TYPE_KEYS[secret.type] ?? []).flatMap((alternatives) =>
    alternatives.some((key) => Object.hasOwn(data, key))
      ? []
      : alternatives.map((key) => required(`data[${key}]`)),
  );
  if (
    secret.type === 'kubernetes.io/service-account-token' &&
    !secret.metadata.annotations?.[SERVICE_ACCOUNT_NAME]
  ) {
    errors.push(required(`metadata.annotations[${SERVICE_ACCOUNT_NAME}]`));
  }
  for (const key of ['.dockercfg', '.dockerconfigjson']) {
    if (!secret.type?.startsWith('kubernetes.io/docker') || !Object.hasOwn(data, key)) continue;
    try {
      JSON.parse(Buffer.from(data[key] ?? '', 'base64').toString('utf8'));
    } catch {
      errors.push(invalid(`data[${key}]`, '<secret contents redacted>', 'invalid JSON'));
    }
  }
  return errors;
}

export const SECRET_STRATEGY: ResourceStrategy = {
  setDefaults(secret) {
    secret.type ||= 'Opaque';
    // stringData is for writing only: it becomes data.
    for (const [key, value] of Object.entries<string>(secret.stringData ?? {})) {
      secret.data ??= {};
      secret.data[key] = Buffer.from(value).toString('base64');
    }
    delete secret.stringData;
  },
  validate(secret) {
    const errors = [...validateKeys(secret.data, 'data'), ...validateBase64(secret.data, 'data')];
    if (total(secret.data, base64Bytes) > MAX_BYTES) errors.push(tooLong('data', MAX_BYTES));
    return [...errors, ...validateType(secret)];
  },
  validateUpdate: (secret, old) => [
    ...(secret.type === old.type ? [] : [invalid('type', secret.type, IMMUTABLE)]),
    ...validateImmutable(secret, old, ['data']),
  ],
};
