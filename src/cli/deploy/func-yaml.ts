/**
 * `func.yaml`, the file by which Knative's `func` describes a function (spec version 0.36): what it says of name, runtime, variables,
 * volumes, scale and resources, as a Function's fields. How `func` builds and where it pushes images does not matter here. Pure but for
 * reading the file.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { FunctionSpec } from '../../kinds/function.ts';
import type { EnvFromSource, EnvVar, Volume, VolumeMount } from '../../kinds/pod.ts';

export const FUNC_YAML = 'func.yaml';

export interface FuncFile {
  name?: string;
  namespace?: string;
  /** Ours, for the one it names. */
  runtime?: string;
  spec: Partial<FunctionSpec>;
  annotations: Record<string, string>;
  /** Fields that say something that is not done here, for a note. */
  ignored: string[];
}

/** Runtimes of `func` that have another name here. */
const RUNTIMES: Readonly<Record<string, string>> = {
  typescript: 'node',
  quarkus: 'java',
  springboot: 'java',
};
const AUTOSCALING = 'autoscaling.knative.dev/';
/** `{{ secret:name }}`, `{{ configMap:name:key }}`, `{{ env:NAME }}`. */
const TEMPLATE = /^\{\{\s*(env|secret|configMap):([^:\s}]+)(?::([^\s}]+))?\s*\}\}$/;

interface Named {
  name?: string;
  value?: string;
}

/** What a file may hold; anything may be missing or of another type. */
// biome-ignore lint/suspicious/noExplicitAny: YAML that somebody wrote
type Untyped = any;

/** Reads `func.yaml` of a folder; undefined when there is none. Throws `InvalidArgument` with the field's path. */
export async function readFuncYaml(
  folder: string,
  env: Record<string, string | undefined>,
): Promise<FuncFile | undefined> {
  let text: string;
  try {
    text = readFileSync(join(folder, FUNC_YAML), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
  const { parse } = await import('yaml');
  try {
    return parseFuncYaml(parse(text), env);
  } catch (error) {
    if (error instanceof PetrelError) throw error;
    throw new PetrelError('InvalidArgument', `${FUNC_YAML} cannot be read`, {
      why: (error as Error).message,
      fix: 'correct the file, or remove it and use options',
    });
  }
}

function wrong(path: string, why: string): PetrelError {
  return new PetrelError('InvalidArgument', `${FUNC_YAML}: ${path}: ${why}`, { fix: 'correct the file' });
}

function list(value: Untyped, path: string): Untyped[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw wrong(path, 'must be a list');
  return value;
}

/** Translates a parsed file. `env`: what `{{ env:NAME }}` reads. Throws `InvalidArgument`. */
export function parseFuncYaml(file: Untyped, env: Record<string, string | undefined>): FuncFile {
  if (typeof file !== 'object' || file === null) throw wrong('', 'must be a mapping');
  const { name, namespace, runtime, build = {}, run = {}, deploy = {} } = file;
  if (typeof runtime !== 'string' || runtime === '') throw wrong('runtime', 'must name a language');
  const { scale = {}, resources = {} } = deploy.options ?? {};
  const spec: Partial<FunctionSpec> = { ...variables(list(run.envs, 'run.envs'), 'run.envs', env) };
  const { env: buildEnv } = variables(list(build.buildEnvs, 'build.buildEnvs'), 'build.buildEnvs', env);
  if (buildEnv && buildEnv.length > 0) spec.build = { env: buildEnv };
  Object.assign(spec, mounts(list(run.volumes, 'run.volumes')));
  const bounds = { ...number('min', scale.min), ...number('max', scale.max) };
  if (Object.keys(bounds).length > 0) spec.scale = bounds;
  const { concurrency, ...limits } = resources.limits ?? {};
  if (concurrency !== undefined) spec.concurrency = Number(concurrency);
  const asked = { ...quantities('limits', limits), ...quantities('requests', resources.requests) };
  if (Object.keys(asked).length > 0) spec.resources = asked;
  const annotations: Record<string, string> = {};
  for (const [key, value] of Object.entries(deploy.annotations ?? {})) annotations[key] = String(value);
  for (const key of ['metric', 'target'] as const)
    if (scale[key] !== undefined) annotations[AUTOSCALING + key] = String(scale[key]);
  if (scale.utilization !== undefined)
    annotations[`${AUTOSCALING}target-utilization-percentage`] = String(scale.utilization);
  const ignored = Object.entries({
    'deploy.subscriptions': deploy.subscriptions,
    'deploy.healthEndpoints': deploy.healthEndpoints,
    'deploy.labels': deploy.labels,
    'build.git': build.git,
    domain: file.domain,
  }).flatMap(([path, value]) => (value === undefined ? [] : [path]));
  return {
    ...(name ? { name: String(name) } : {}),
    ...(deploy.namespace || namespace ? { namespace: String(deploy.namespace || namespace) } : {}),
    runtime: RUNTIMES[runtime] ?? runtime,
    spec,
    annotations,
    ignored,
  };
}

const number = (key: string, value: Untyped) => (value === undefined ? {} : { [key]: Number(value) });

function quantities(key: string, amounts: Untyped): Record<string, Record<string, string>> {
  const entries = Object.entries(amounts ?? {}).map(([name, value]): [string, string] => [
    name,
    String(value),
  ]);
  return entries.length === 0 ? {} : { [key]: Object.fromEntries(entries) };
}

function variables(
  envs: Named[],
  path: string,
  env: Record<string, string | undefined>,
): { env?: EnvVar[]; envFrom?: EnvFromSource[] } {
  const own: EnvVar[] = [];
  const sets: EnvFromSource[] = [];
  for (const [i, { name, value = '' }] of envs.entries()) {
    const [, from, source = '', key] = TEMPLATE.exec(String(value)) ?? [];
    if (from === undefined) {
      if (!name) throw wrong(`${path}[${i}].name`, 'is missing');
      own.push({ name, value: String(value) });
    } else if (from === 'env') {
      const found = env[source];
      if (found === undefined) throw wrong(`${path}[${i}].value`, `${source} is not set here`);
      own.push({ name: name ?? source, value: found });
    } else if (key === undefined) {
      sets.push(from === 'secret' ? { secretRef: { name: source } } : { configMapRef: { name: source } });
    } else {
      if (!name) throw wrong(`${path}[${i}].name`, 'is missing');
      const ref = { name: source, key };
      own.push({ name, valueFrom: from === 'secret' ? { secretKeyRef: ref } : { configMapKeyRef: ref } });
    }
  }
  return { ...(own.length > 0 ? { env: own } : {}), ...(sets.length > 0 ? { envFrom: sets } : {}) };
}

function mounts(given: Untyped[]): { volumes?: Volume[]; volumeMounts?: VolumeMount[] } {
  if (given.length === 0) return {};
  const volumes: Volume[] = [];
  const volumeMounts: VolumeMount[] = [];
  for (const [i, { secret, configMap, emptyDir, path }] of given.entries()) {
    const at = `run.volumes[${i}]`;
    if (typeof path !== 'string' || !path.startsWith('/'))
      throw wrong(`${at}.path`, 'must be an absolute path');
    const name = `v${i}`;
    if (secret) volumes.push({ name, secret: { secretName: String(secret) } });
    else if (configMap) volumes.push({ name, configMap: { name: String(configMap) } });
    else if (emptyDir !== undefined) volumes.push({ name, emptyDir: {} });
    else throw wrong(at, 'must be a secret, a configMap or an emptyDir');
    volumeMounts.push({ name, mountPath: path });
  }
  return { volumes, volumeMounts };
}
