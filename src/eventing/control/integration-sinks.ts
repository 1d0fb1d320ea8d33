/**
 * IntegrationSink: sinks that upstream runs as containers, here modules of the engine where there is one. Source: knative.dev/eventing
 * `pkg/reconciler/integration/sink`.
 */
import type { IntegrationSink } from '../../kinds/eventing/objects.ts';
import type { Json } from '../../kinds/object.ts';
import { INTEGRATION_SINKS } from '../../kube/refs.ts';
import type { ControlContext } from './context.ts';
import type { Kind } from './kind.ts';
import { markPolicies } from './marks.ts';
import { runSink, sinkKey } from './sinks.ts';

/** IntegrationSinks share the addresses of sinks with EventSinks, apart by this. */
export const INTEGRATION_PREFIX = 'integration.';

type Module = { type: string; config: Record<string, Json> } | { missing: string };

/** Upstream's levels, as the log has them. */
const LEVELS: Record<string, string> = { WARN: 'warn', ERROR: 'error', FATAL: 'error' };

/** The module that does it, and its configuration; what upstream's images call `aws.accessKey` are keys of the Secret. */
function moduleOf({ log, aws }: IntegrationSink['spec']): Module {
  if (log) {
    const { level = '', loggerName, showHeaders, showBody } = log;
    return {
      type: 'log',
      config: {
        level: LEVELS[level.toUpperCase()] ?? 'info',
        ...(loggerName && { name: loggerName }),
        ...(showHeaders !== undefined && { showAttributes: showHeaders }),
        ...(showBody !== undefined && { showData: showBody }),
      },
    };
  }
  const s3 = aws?.s3;
  if (s3 === undefined) return { missing: `there is no sink for aws.${aws?.sqs ? 'sqs' : 'sns'} here` };
  const name = aws?.auth?.secret?.ref?.name ?? '';
  const from = (key: string): Json => ({ secretKeyRef: { name, key } });
  const { arn = '', region = '', uriEndpointOverride, prefix } = s3;
  return {
    type: 's3',
    config: {
      endpoint: uriEndpointOverride || `https://s3.${region}.amazonaws.com`,
      // `arn:aws:s3:::bucket`
      bucket: arn.slice(arn.lastIndexOf(':') + 1),
      region,
      accessKeyId: from('aws.accessKey'),
      secretAccessKey: from('aws.secretKey'),
      ...(prefix && { prefix }),
    },
  };
}

export function integrationSinks(context: ControlContext): Kind<IntegrationSink> {
  const keyOf = (namespace: string, name: string) => sinkKey(namespace, INTEGRATION_PREFIX + name);
  return {
    resource: INTEGRATION_SINKS,
    dependents: ['Addressable', 'DeploymentReady', 'EventPoliciesReady', 'TrustBundlePropagated'],
    async reconcile(pass) {
      const { object, namespace, name, status, conditions } = pass;
      const key = keyOf(namespace, name);
      markPolicies(conditions, context.config().features);
      conditions.markTrue('TrustBundlePropagated');
      const module = moduleOf(object.spec);
      if ('missing' in module) {
        context.engine.setSink(key, null);
        delete status.address;
        conditions.markFalse('DeploymentReady', 'NotSupported', module.missing);
      } else await runSink(context, pass, { key, ...module, condition: 'DeploymentReady' });
      if (status.address) conditions.markTrue('Addressable');
      else conditions.markUnknown('Addressable', 'NotReady', 'The sink has no address yet.');
      return undefined;
    },
    gone: (namespace, name) => context.engine.setSink(keyOf(namespace, name), null),
  };
}
