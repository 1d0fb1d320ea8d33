/** What the tests of Knative's kinds share. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_SERVING_CONFIG, type ServingConfig, withConfigMap } from '../../config/index.ts';
import type { UntypedObject } from '../../object.ts';
import { builtinRegistry } from '../../registry.ts';

const registry = builtinRegistry();
export const PREFIX =
  'admission webhook "validation.webhook.serving.knative.dev" denied the request: validation failed: ';
export const context = { config: DEFAULT_SERVING_CONFIG };
/** What holds when the ConfigMaps say this. */
export const configured = (maps: Record<string, Record<string, string>>): Readonly<ServingConfig> =>
  Object.entries(maps).reduce(
    (config: Readonly<ServingConfig>, [name, data]) => withConfigMap(config, `config-${name}`, data),
    DEFAULT_SERVING_CONFIG,
  );

export function strategyOf(plural: string) {
  return registry.find('serving.knative.dev', 'v1', plural)!.strategy;
}
export const object = (kind: string, spec: object, metadata: object = {}): UntypedObject => ({
  apiVersion: 'serving.knative.dev/v1',
  kind,
  metadata: { name: 'hello', namespace: 'default', ...metadata },
  spec: structuredClone(spec),
});
export const service = (spec: object, metadata: object = {}, template: object = {}): UntypedObject =>
  object('Service', { template: { metadata: template, spec }, traffic: undefined }, metadata);
export const image = { containers: [{ image: 'dev.local/hello' }] };

/** The refusal of a create after defaulting, without its prefix; empty when accepted. */
export function denied(plural: string, created: UntypedObject, config = DEFAULT_SERVING_CONFIG): string {
  const strategy = strategyOf(plural);
  strategy.setDefaults?.(created, undefined, { config });
  const message = strategy.deny?.(created, undefined, { config }) ?? '';
  if (message === '') return '';
  assert.ok(message.startsWith(PREFIX), message);
  return message.slice(PREFIX.length);
}
/** The refusal of a change of a Service, without its prefix. */
export function changed(change: (object: UntypedObject) => void, old: UntypedObject, user?: string): string {
  const strategy = strategyOf('services');
  const next = structuredClone(old);
  change(next);
  strategy.setDefaults?.(next, old, { ...context, user });
  return (strategy.deny?.(next, old, context) ?? '').slice(PREFIX.length);
}
export function stored(created: UntypedObject): UntypedObject {
  assert.equal(denied('services', created), '');
  return created;
}

/** A template's spec of one container. */
export const container = (fields: object): object => ({ containers: [{ image: 'i', ...fields }] });
/** One that mounts one volume. */
export const mounted = (volume: object, mount: object = {}): object => ({
  ...container({ volumeMounts: [{ name: 'v', mountPath: '/v', ...mount }] }),
  volumes: [{ name: 'v', ...volume }],
});
/** ConfigMaps that switch these features off. */
export const off = (...flags: string[]) => ({
  features: Object.fromEntries(flags.map((flag) => [flag, 'disabled'])),
});

/** What is refused in a template's spec: name, spec, words, and the ConfigMaps under which it is. */
export type RefusedSpec = [
  what: string,
  spec: object,
  expected: string,
  maps?: Record<string, Record<string, string>>,
];

/** One test for each; what only a switched-off feature refuses is accepted without that. */
export function refuses(specs: RefusedSpec[]): void {
  for (const [what, spec, expected, maps = {}] of specs) {
    test(`Service refused: ${what}`, () => {
      assert.equal(denied('services', service(spec), configured(maps)), expected);
      if (maps.features === undefined || what.startsWith('more than')) return;
      const problems = denied('services', service(spec));
      assert.ok(problems === '' || what.startsWith('volume of no kind'), `without the flag: ${problems}`);
    });
  }
}
