/** Options of `deploy` as fields of a Function; what is not given stays as it is on the Function that exists. */
import { PetrelError } from '../../base/errors.ts';
import type { FunctionSpec } from '../../kinds/function.ts';
import { dns1123Subdomain } from '../../kinds/name.ts';
import type { EnvFromSource, Volume, VolumeMount } from '../../kinds/pod.ts';
import { parseQuantity } from '../../kinds/quantity.ts';
import type { Args } from '../args.ts';
import { accessOf } from './access-options.ts';
import { buildOf } from './build-options.ts';
import { servicesOf } from './service-options.ts';
import { variables } from './variables.ts';

/** What was deployed, before options are looked at. */
export type Code = Pick<
  FunctionSpec,
  'runtime' | 'package' | 'image' | 'entry' | 'shape' | 'debugPort' | 'timeoutSeconds'
>;

/** What only code has; see the rules of a Function. */
const OF_CODE = ['package', 'entry', 'handler', 'shape', 'build', 'state', 'debugPort', 'onceOnly'] as const;

/** The spec to write: `current` (absent for a new Function) with the new code and the options given. */
export function specOf(args: Args, code: Code, current: FunctionSpec | undefined): FunctionSpec {
  // A debugger is for the session that asked for it.
  const { debugPort: _, ...before } = current ?? ({} as Partial<FunctionSpec>);
  const spec: FunctionSpec = { ...before, ...code };
  // Of code that an image takes the place of, or the other way round, nothing stays.
  for (const key of code.image === undefined ? (['image'] as const) : OF_CODE) delete spec[key];
  const handler = args.text('handler');
  const shape = args.text('shape') as FunctionSpec['shape'];
  // That the source of before was a program says nothing about this one.
  if (code.shape === undefined && before.shape === 'program' && before.entry === undefined) delete spec.shape;
  const concurrency = args.integer('concurrency');
  const timeoutSeconds = args.integer('timeout');
  if (handler !== undefined) spec.handler = handler;
  if (shape !== undefined) spec.shape = shape;
  if (concurrency !== undefined) spec.concurrency = concurrency;
  if (timeoutSeconds !== undefined) spec.timeoutSeconds = timeoutSeconds;
  const scale = bounds(args, current?.scale);
  if (scale) spec.scale = scale;
  const limits = { ...amount(args, 'memory', '256Mi'), ...amount(args, 'cpu', '500m') };
  if (Object.keys(limits).length > 0)
    spec.resources = { ...current?.resources, limits: { ...current?.resources?.limits, ...limits } };
  if (args.list('env').length > 0) spec.env = variables(args.list('env'), current?.env ?? [], '--env');
  if (args.list('env-from').length > 0) spec.envFrom = args.list('env-from').map(envFrom);
  if (args.list('mount').length > 0) {
    const mounts = args.list('mount').map(mount);
    spec.volumes = mounts.map(({ volume }) => volume);
    spec.volumeMounts = mounts.map(({ volumeMount }) => volumeMount);
  }
  const build = buildOf(args, current?.build);
  if (build) spec.build = build;
  else delete spec.build;
  const { access, sticky, onceOnly, state, tool, invocation, ...others } = spec;
  const fields = { ...accessOf(args, current), ...servicesOf(args, current) };
  const asked = Object.entries(fields).filter(([, value]) => value !== undefined);
  return { ...others, ...Object.fromEntries(asked) };
}

/** Nothing starts with less, bytes: who writes so little has left out the unit. */
const LEAST_MEMORY = 1024 * 1024;

/** The limit that an option of its name says; a limit of no memory is none, also not the platform's own. */
function amount(args: Args, name: 'memory' | 'cpu', example: string): Record<string, string> {
  const value = args.text(name);
  if (value === undefined) return {};
  const number = parseQuantity(value);
  const least = name === 'memory' ? LEAST_MEMORY : 0;
  if (number > least || (number === 0 && name === 'memory')) return { [name]: value };
  throw invalid(`--${name} ${value} is no amount`, `write --${name} ${example}`);
}

function bounds(args: Args, current: FunctionSpec['scale']): FunctionSpec['scale'] {
  const min = args.integer('min');
  const max = args.integer('max');
  if (min === undefined && max === undefined) return undefined;
  const scale = { ...current, ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
  if (scale.max !== undefined && scale.max > 0 && (scale.min ?? 0) > scale.max) {
    throw invalid(
      `--min ${scale.min} is more than --max ${scale.max}`,
      'make --max at least as large, or 0 for no limit',
    );
  }
  return scale;
}

/** `secret/name` or `configmap/name` (`cm/name`). */
function reference(text: string, option: string): { secret: boolean; name: string } {
  const match = /^(secret|configmap|cm)\/(.+)$/.exec(text);
  const name = match?.[2] ?? '';
  if (!match || dns1123Subdomain(name).length > 0) {
    throw invalid(
      `${option} ${text} is not understood`,
      `write ${option} secret/<name> or ${option} configmap/<name>`,
    );
  }
  return { secret: match[1] === 'secret', name };
}

function envFrom(text: string): EnvFromSource {
  const { secret, name } = reference(text, '--env-from');
  return secret ? { secretRef: { name } } : { configMapRef: { name } };
}

function mount(text: string): { volume: Volume; volumeMount: VolumeMount } {
  const colon = text.indexOf(':');
  const mountPath = text.slice(colon + 1);
  if (colon === -1 || !mountPath.startsWith('/')) {
    throw invalid(
      `--mount ${text} is not understood`,
      'write --mount secret/<name>:/folder or --mount configmap/<name>:/folder',
    );
  }
  const { secret, name } = reference(text.slice(0, colon), '--mount');
  // A volume's name is a DNS label; an object's may have dots.
  const volume = `${secret ? 'secret' : 'configmap'}-${name.replaceAll('.', '-')}`
    .slice(0, 63)
    .replace(/-+$/, '');
  return {
    volume: secret ? { name: volume, secret: { secretName: name } } : { name: volume, configMap: { name } },
    volumeMount: { name: volume, mountPath, readOnly: true },
  };
}

function invalid(what: string, fix: string): PetrelError {
  return new PetrelError('InvalidArgument', what, { fix });
}
