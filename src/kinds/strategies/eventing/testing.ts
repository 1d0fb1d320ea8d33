/** What the tests of eventing's kinds share. */
import assert from 'node:assert/strict';
import {
  DEFAULT_EVENTING_CONFIG,
  type EventingConfig,
  withEventingConfigMap,
} from '../../config/eventing.ts';
import { DEFAULT_SERVING_CONFIG } from '../../config/index.ts';
import type { UntypedObject } from '../../object.ts';
import { builtinRegistry } from '../../registry.ts';
import type { AdmissionContext } from '../../resource.ts';

const registry = builtinRegistry();
const PREFIX =
  'admission webhook "validation.webhook.eventing.knative.dev" denied the request: validation failed: ';

/** ConfigMaps by name. */
export type Maps = Record<string, Record<string, string>>;

/** What a write may depend on when the ConfigMaps say this. */
export function contextOf(maps: Maps = {}): AdmissionContext {
  const config = Object.entries(maps).reduce(
    (sum: Readonly<EventingConfig>, [name, data]) => withEventingConfigMap(sum, name, data),
    DEFAULT_EVENTING_CONFIG,
  );
  return { config: DEFAULT_SERVING_CONFIG, eventing: () => config };
}

/** An object `x` in `default`, of the version that is stored. */
export function object(kind: string, spec: object, metadata: object = {}): UntypedObject {
  const definition = registry.all.find((row) => row.kind === kind && row.type.includes('.') && !row.storedAs);
  assert.ok(definition, kind);
  return {
    apiVersion: `${definition.group}/${definition.version}`,
    kind,
    metadata: { name: 'x', namespace: 'default', uid: 'u-1', ...metadata },
    spec: structuredClone(spec),
  };
}

const strategyOf = ({ apiVersion, kind }: UntypedObject) => {
  const [group = '', version = ''] = apiVersion.split('/');
  const definition = registry.byKind(group, version, kind);
  assert.ok(definition, `${apiVersion} ${kind}`);
  return definition.strategy;
};

/** The refusal after defaulting, in place, without its prefix; empty when accepted. */
export function denied(written: UntypedObject, old?: UntypedObject, maps: Maps = {}): string {
  const context = contextOf(maps);
  const strategy = strategyOf(written);
  strategy.setDefaults?.(written, old, context);
  const message = strategy.deny?.(written, old, context) ?? '';
  if (message === '') return '';
  assert.ok(message.startsWith(PREFIX), message);
  return message.slice(PREFIX.length);
}

/** The object as it is stored; it must be acceptable. */
export function accepted(written: UntypedObject, maps: Maps = {}): UntypedObject {
  assert.equal(denied(written, undefined, maps), '');
  return written;
}

/** The refusal of a change. */
export function changed(
  old: UntypedObject,
  change: (object: UntypedObject) => void,
  maps: Maps = {},
): string {
  const next = structuredClone(old);
  change(next);
  return denied(next, old, maps);
}

/** One refused create: kind, what, spec, words, metadata, ConfigMaps. */
export type Refused = [
  kind: string,
  what: string,
  spec: object,
  words: string,
  metadata?: object,
  maps?: Maps,
];
