/** A Fission function as the Petrel Function that answers for it. Pure. */
import { zoned } from '../../kinds/cron-schedule.ts';
import {
  type FunctionBuild,
  type FunctionInvocation,
  type FunctionProvisioned,
  type FunctionSpec,
  type PetrelFunction,
  POD_LABELS_ANNOTATION,
} from '../../kinds/function.ts';
import { parseGoDuration } from '../../kinds/go-duration.ts';
import type { Language } from './languages.ts';
import { type Destination, type Environment, executorOf, type FissionFunctionSpec } from './model.ts';
import {
  type Code,
  concurrencyOf,
  envOf,
  filesOf,
  marked,
  metadataOf,
  podLabels,
  restingOf,
  type Subject,
  scalingOf,
  timeoutOf,
} from './parts.ts';

const secondsOf = (duration: string | undefined): number | undefined => {
  const ms = parseGoDuration(duration);
  return ms === undefined ? undefined : ms / 1000;
};

/** Fields that are there, without those that are undefined. */
function given<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

const destinationOf = (destination: Destination | undefined) =>
  destination?.function?.name ? { function: destination.function.name } : undefined;

function invocationOf({ invocation }: FissionFunctionSpec): FunctionInvocation | undefined {
  if (!invocation) return undefined;
  const { retry = {}, maxAge, onSuccess, onFailure } = invocation;
  return given<FunctionInvocation>({
    maxAttempts: retry.maxAttempts,
    backoffSeconds: secondsOf(retry.backoffBase),
    backoffCapSeconds: secondsOf(retry.backoffCap),
    jitter: retry.jitter === false ? 0 : undefined,
    maxAgeSeconds: secondsOf(maxAge),
    onSuccess: destinationOf(onSuccess),
    onFailure: destinationOf(onFailure),
  });
}

function provisionedOf({ provisionedConcurrency }: FissionFunctionSpec): FunctionProvisioned | undefined {
  if (!provisionedConcurrency) return undefined;
  const { target, windows = [] } = provisionedConcurrency;
  return {
    target,
    ...(windows.length > 0
      ? {
          windows: windows.map((window) => ({
            name: window.name,
            ...zoned(window.start),
            durationSeconds: Math.max(1, Math.round(secondsOf(window.duration) ?? 0)),
            target: window.target,
          })),
        }
      : {}),
  };
}

/** Fission's commands read `SRC_PKG` and leave the result, a file or a folder, at `DEPLOY_PKG`. */
function buildOf(code: Code): FunctionBuild {
  if (!code.source) return { mode: 'never' };
  const command = code.buildCommand?.trim() ?? '';
  // The environments' own command stands for what the language does by itself.
  if (command === '' || /^(\/usr\/local\/bin\/|\/)?(build|defaultBuildCmd)$/.test(command))
    return { mode: 'auto' };
  return {
    mode: 'always',
    command: [
      'export SRC_PKG="$PWD" DEPLOY_PKG="$TMPDIR/deploy"',
      `( ${command} ) || exit $?`,
      'if [ -d "$DEPLOY_PKG" ]; then cp -a "$DEPLOY_PKG/." "$PETREL_OUTPUT/"; elif [ -e "$DEPLOY_PKG" ]; then cp -a "$DEPLOY_PKG" "$PETREL_OUTPUT/"; fi',
    ].join('\n'),
  };
}

function specOf(subject: Subject, environment: Environment, language: Language, code: Code): FunctionSpec {
  const { spec, object } = subject;
  const { state, tool, versioning } = spec;
  const { volumes, volumeMounts } = filesOf(spec, object.metadata.namespace ?? 'default');
  const env = envOf(environment, spec);
  const pooled = executorOf(spec) === 'poolmgr';
  const resources =
    spec.resources && Object.keys(spec.resources).length > 0 ? spec.resources : environment.spec.resources;
  const sticky = state?.sticky;
  return given<FunctionSpec>({
    runtime: language.runtime,
    package: { digest: code.digest },
    ...language.entryPoint(spec.package?.functionName ?? '', code.single, code.has),
    shape: language.shape as FunctionSpec['shape'],
    env: env.length > 0 ? env : undefined,
    envFrom: spec.envFrom && spec.envFrom.length > 0 ? spec.envFrom : undefined,
    volumes: volumes.length > 0 ? volumes : undefined,
    volumeMounts: volumes.length > 0 ? volumeMounts : undefined,
    resources: resources && Object.keys(resources).length > 0 ? resources : undefined,
    // A Deployment's instances take what comes; a pool's take as many requests as the function says.
    concurrency: pooled ? concurrencyOf(spec) : 0,
    scale: scalingOf(spec).scale,
    timeoutSeconds: timeoutOf(spec),
    build: buildOf(code),
    invocation: invocationOf(spec),
    provisioned: provisionedOf(spec),
    onceOnly: spec.onceOnly ? true : undefined,
    retainRevisions: versioning?.retain,
    sticky:
      sticky && (sticky.source === 'header' ? { header: sticky.name } : { queryParameter: sticky.name }),
    state:
      state &&
      given({
        keyspace: state.keyspace,
        defaultTtlSeconds: secondsOf(state.defaultTTL),
        maxValueBytes: state.maxValueBytes || undefined,
        maxKeys: state.maxKeys || undefined,
      }),
    tool: tool?.description
      ? given({
          description: tool.description,
          name: tool.toolName || `${object.metadata.namespace ?? 'default'}-${subject.functionName}`,
          inputSchema: tool.inputSchema,
        })
      : undefined,
  } as never);
}

/** For the executors `poolmgr` and `newdeploy`. */
export function petrelFunction(
  subject: Subject,
  environment: Environment,
  language: Language,
  code: Code,
): PetrelFunction {
  return marked<PetrelFunction>({
    apiVersion: 'petrel.dev/v1',
    kind: 'Function',
    metadata: metadataOf(subject, {
      ...scalingOf(subject.spec).annotations,
      ...restingOf(subject),
      [POD_LABELS_ANNOTATION]: JSON.stringify(podLabels(subject)),
    }),
    spec: specOf(subject, environment, language, code),
  });
}
