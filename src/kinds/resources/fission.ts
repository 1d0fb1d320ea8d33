/**
 * Fission's kinds, `fission.io/v1`: stored as they are and translated by `src/dialects/fission`. Their rules are read with the
 * first object that is written; a platform without one pays for these rows alone.
 */
import { createRequire } from 'node:module';
import { AGE_PATH, NAME, pathColumn } from '../columns/common.ts';
import { dns1123Label } from '../name.ts';
import type { ResourceDefinition, ResourceStrategy } from '../resource.ts';
import { type Row, rows } from './row.ts';

const rules = (kind: string): ResourceStrategy =>
  (createRequire(import.meta.url)('../strategies/fission.ts') as typeof import('../strategies/fission.ts'))
    .FISSION_STRATEGIES[kind] ?? {};

const lazily = (kind: string): ResourceStrategy => ({
  setDefaults: (...args) => rules(kind).setDefaults?.(...args),
  validate: (object) => rules(kind).validate?.(object) ?? [],
  validateUpdate: (object, old) => rules(kind).validateUpdate?.(object, old) ?? [],
  prepareForCreate: (object) => rules(kind).prepareForCreate?.(object),
});

const condition = (type: string) =>
  pathColumn(type, `.status.conditions[?(@.type=='${type}')].status`, 'string');

const row = (kind: string, plural: string, columns: Row['columns'], more: Partial<Row> = {}): Row => ({
  kind,
  plural,
  columns: [NAME, ...columns, AGE_PATH],
  strategy: lazily(kind),
  subresources: ['status'],
  hasGeneration: true,
  ...more,
});

const functionColumn = pathColumn('Function', '.spec.functionref.name');

// Fission's short names `fn` and `fnalias` are left out: kubectl would warn of two kinds each time somebody asks for one.
export const FISSION_RESOURCES: ResourceDefinition[] = rows('fission.io', 'v1', 'io.fission.v1', [
  row(
    'Function',
    'functions',
    [
      pathColumn('Environment', '.spec.environment.name'),
      pathColumn('Executor', '.spec.InvokeStrategy.ExecutionStrategy.ExecutorType'),
      condition('Ready'),
    ],
    { nameRule: dns1123Label },
  ),
  row(
    'Environment',
    'environments',
    [
      pathColumn('Image', '.spec.runtime.image'),
      pathColumn('Builder', '.spec.builder.image'),
      condition('Ready'),
    ],
    { shortNames: ['env'], nameRule: dns1123Label },
  ),
  row(
    'Package',
    'packages',
    [
      pathColumn('Build_Status', '.status.buildstatus'),
      pathColumn('Environment', '.spec.environment.name'),
      pathColumn('Updated', '.status.lastUpdateTimestamp', 'date'),
    ],
    { shortNames: ['pkg'] },
  ),
  row(
    'HTTPTrigger',
    'httptriggers',
    [
      pathColumn('Url', '.spec.relativeurl'),
      pathColumn('Prefix', '.spec.prefix'),
      functionColumn,
      condition('Ready'),
    ],
    { shortNames: ['ht'] },
  ),
  row('TimeTrigger', 'timetriggers', [pathColumn('Cron', '.spec.cron'), functionColumn, condition('Ready')], {
    shortNames: ['tt'],
  }),
  row('KubernetesWatchTrigger', 'kuberneteswatchtriggers', [
    pathColumn('Type', '.spec.type'),
    functionColumn,
    condition('Ready'),
  ]),
  row(
    'MessageQueueTrigger',
    'messagequeuetriggers',
    [pathColumn('Queue', '.spec.messageQueueType'), pathColumn('Topic', '.spec.topic'), functionColumn],
    { shortNames: ['mqt'] },
  ),
  row('CanaryConfig', 'canaryconfigs', [
    pathColumn('Trigger', '.spec.trigger'),
    pathColumn('New', '.spec.newfunction'),
    pathColumn('Old', '.spec.oldfunction'),
    pathColumn('Status', '.status.status'),
  ]),
  row(
    'FunctionVersion',
    'functionversions',
    [
      pathColumn('Sequence', '.spec.sequence', 'integer'),
      pathColumn('PackageDigest', '.spec.packageDigest'),
      pathColumn('PublishedAt', '.spec.publishedAt', 'date'),
    ],
    { shortNames: ['fnver'], subresources: [] },
  ),
  row('FunctionAlias', 'functionaliases', [
    pathColumn('Function', '.spec.functionName'),
    pathColumn('Version', '.spec.version'),
    pathColumn('Weight', '.spec.weight', 'integer'),
    pathColumn('ResolvedVersion', '.status.resolvedVersion'),
  ]),
  row('FissionTenant', 'fissiontenants', [pathColumn('Namespace', '.spec.namespace'), condition('Ready')], {
    shortNames: ['ftenant'],
    namespaced: false,
  }),
  row('Workflow', 'workflows', [pathColumn('StartAt', '.spec.startAt'), condition('Validated')], {
    shortNames: ['wf'],
  }),
  row(
    'WorkflowRun',
    'workflowruns',
    [
      pathColumn('Workflow', '.spec.workflowRef'),
      pathColumn('Phase', '.status.phase'),
      pathColumn('Started', '.status.startedAt', 'date'),
    ],
    { shortNames: ['wfr'] },
  ),
]);
