/** Fields that an object may have and that nothing here goes by: told in its conditions, so that nobody relies on them. Pure. */
import type { KubeObject } from '../../kinds/object.ts';
import type { Finding } from './conditions.ts';
import { cpuOrMemory } from './parts.ts';

// biome-ignore lint/suspicious/noExplicitAny: specs of every kind are looked into by path
type Spec = any;

const FIELDS_IGNORED = 'FieldsIgnored';

const isSet = (value: unknown): boolean =>
  value !== undefined &&
  value !== null &&
  value !== '' &&
  value !== false &&
  value !== 0 &&
  (typeof value !== 'object' || Object.values(value).some(isSet));
const strategyOf = (spec: Spec): Spec => spec.InvokeStrategy?.ExecutionStrategy ?? {};

/** Kind → field → whether it asks for something that is not done. */
const FIELDS: Readonly<Record<string, Readonly<Record<string, (spec: Spec) => boolean>>>> = {
  Function: {
    podspec: (spec) => strategyOf(spec).ExecutorType !== 'container' && isSet(spec.podspec),
    'InvokeStrategy.ExecutionStrategy.hpaMetrics': (spec) => {
      const { hpaMetrics } = strategyOf(spec);
      return isSet(hpaMetrics) && (hpaMetrics.length > 1 || cpuOrMemory(hpaMetrics) === undefined);
    },
    'InvokeStrategy.ExecutionStrategy.hpaBehavior': (spec) => isSet(strategyOf(spec).hpaBehavior),
    agent: (spec) => isSet(spec.agent),
    'state.backend': (spec) => isSet(spec.state?.backend),
    'tool.alias': (spec) => isSet(spec.tool?.alias),
    'invocation.onSuccess.topic': (spec) => isSet(spec.invocation?.onSuccess?.topic),
    'invocation.onFailure.topic': (spec) => isSet(spec.invocation?.onFailure?.topic),
  },
  Environment: {
    'runtime.podspec': ({ runtime: { podspec = {} } }) =>
      Object.entries(podspec ?? {}).some(([key, value]) => key !== 'containers' && isSet(value)),
    allowedFunctionsPerContainer: (spec) => spec.allowedFunctionsPerContainer === 'infinite',
  },
  HTTPTrigger: {
    createingress: (spec) => isSet(spec.createingress),
    routeConfig: (spec) => isSet(spec.routeConfig),
  },
  MessageQueueTrigger: { podspec: (spec) => isSet(spec.podspec) },
};

/** Names of fields that the object has and that have no effect. */
export function ignoredFields({ kind, spec }: KubeObject & { spec: object }): string[] {
  return Object.entries(FIELDS[kind] ?? {}).flatMap(([field, asks]) => (asks(spec) ? [field] : []));
}

/** The findings, and whether fields are ignored. */
export function withIgnored(
  object: KubeObject & { spec: object; status?: { conditions?: { type: string }[] } },
  findings: readonly Finding[],
): Finding[] {
  const fields = ignoredFields(object);
  const had = object.status?.conditions?.some(({ type }) => type === FIELDS_IGNORED);
  if (fields.length === 0 && !had) return [...findings];
  const message = fields.length === 0 ? '' : `No effect here: ${fields.join(', ')}.`;
  const status = fields.length === 0 ? 'False' : 'True';
  return [...findings, { type: FIELDS_IGNORED, status, reason: 'NotSupported', message }];
}
