/** From a container as the API describes it to one that a driver can start. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, type ConfigSource, containerEnv, expand } from '../../kinds/container-env.ts';
import { type Container, NODE_ANNOTATIONS, type Pod } from '../../kinds/pod.ts';
import type { WorkerContext } from './context.ts';
import type { ContainerMount, ContainerSpec, ZygoteSpec } from './drivers/driver.ts';
import { etcFiles } from './etc-files.ts';
import { type ResolvedImage, resolveImage } from './images.ts';
import { limitsOf } from './limits.ts';
import { SecurityProblem, userOf } from './security.ts';
import { prepareTerminationLog } from './termination.ts';
import { mountsOf, prepareVolumes } from './volumes.ts';

/** A container cannot be started as things are; it may be later. */
export class CannotStart extends Error {
  /** Of the waiting state. */
  readonly reason: string;
  /** Of the Event. */
  readonly event: string;
  constructor(reason: string, message: string, event = 'Failed') {
    super(message);
    this.reason = reason;
    this.event = event;
  }
}

export interface Launchable {
  spec: ContainerSpec;
  /** Ready only when its socket accepts connections. */
  socket?: string;
  /** What was brought for it. */
  imageID?: string;
}

const DEFAULT_LAST_WORDS = '/dev/termination-log';
/** One path segment that is not hidden. */
const CACHE_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

/** The one directory of the code cache that a Pod may write to, made ready for it. */
export function cacheMount({ cacheDir, driver }: WorkerContext, pod: Pod): ContainerMount[] {
  const wanted = pod.metadata.annotations?.[NODE_ANNOTATIONS.codeCache];
  if (wanted === undefined || !CACHE_NAME.test(wanted)) return [];
  const dir = join(cacheDir, wanted);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  driver.handOver(dir);
  return [{ source: dir, target: dir, readOnly: false }];
}

/** Brings the files of a Pod's volumes up to date. Throws `CannotStart` when something they refer to is missing. */
export function renewVolumes(context: WorkerContext, pod: Pod, config: ConfigSource): void {
  if (!pod.spec.volumes?.length) return;
  const { volumes: dirs, facts, tokens } = context;
  const { handOver } = context.driver;
  const token = (audience: string | undefined, seconds: number) => tokens.token(pod, audience, seconds);
  try {
    prepareVolumes(pod, { dirs, config, facts, token, handOver });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CannotStart('ContainerCreating', `MountVolume.SetUp failed: ${error.message}`, 'FailedMount');
  }
}

const readSafe = (path: string) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** For files that containers are shown one by one: what they can write to as a directory, the agent must not write files in. */
function shownDir({ volumes }: WorkerContext, uid: string): string {
  const dir = join(volumes.disk, uid, '.shown');
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  return dir;
}

function etcMounts(dir: string, pod: Pod): ContainerMount[] {
  const machine = { hosts: readSafe('/etc/hosts'), resolvConf: readSafe('/etc/resolv.conf') };
  return Object.entries(etcFiles(pod, machine)).map(([target, content]) => {
    const source = join(dir, target.slice(1).replaceAll('/', '.'));
    writeFileSync(source, content, { mode: 0o644 });
    return { source, target, readOnly: true };
  });
}

/** What the container can be forked from: never shared between namespaces, and not for one that has variables of its own from the start. */
function zygoteOf(
  { path }: WorkerContext,
  pod: Pod,
  container: Container,
  image: Extract<ResolvedImage, { kind: 'run' }>,
): ZygoteSpec | undefined {
  if (!image.zygote || pod.metadata.annotations?.[NODE_ANNOTATIONS.zygote] === 'off') return undefined;
  if (container.env?.length || container.envFrom?.length) return undefined;
  const { runtime, command, env } = image.zygote;
  const role = zygoteRole(pod.metadata.annotations?.[NODE_ANNOTATIONS.zygoteRole]);
  return {
    key: `${pod.metadata.namespace}/${runtime}`,
    command,
    env: { PATH: path, HOME: '/tmp', ...env },
    ...(role && { role }),
  };
}

/** What a Pod says of its part, see `NODE_ANNOTATIONS.zygoteRole`. */
function zygoteRole(text: string | undefined): ZygoteSpec['role'] {
  if (text === 'parent') return text;
  const of = /^child-of:([A-Za-z0-9-]+)$/.exec(text ?? '')?.[1];
  return of === undefined ? undefined : { of };
}

/** Prepares everything that has to be there before the process. Throws `CannotStart`. */
export function prepareLaunch(
  context: WorkerContext,
  pod: Pod,
  container: Container,
  config: ConfigSource,
): Launchable {
  const { name, uid = '' } = pod.metadata;
  const socket = join(context.runDir, 'pods', uid, 'i.sock');
  const image = resolveImage(container, { ...context, socket });
  if (image.kind === 'unavailable') throw new CannotStart(image.reason, image.message);
  context.driver.preparePodDir(uid);
  const shown = shownDir(context, uid);
  renewVolumes(context, pod, config);
  // A socket of the run before must not be taken for the one that is to come.
  if (image.socket) rmSync(socket, { force: true });
  try {
    const base = { PATH: context.path, HOME: '/tmp', HOSTNAME: name, ...image.env };
    const env = containerEnv(pod, container, base, config, context.facts);
    const { userProblem, imageUserProblem } = context.driver;
    const user = userOf(pod, container, image.user, image.rootfs ? imageUserProblem : userProblem);
    // A runtime's instance speaks over its socket, and there are many of them.
    const last = image.socket ? undefined : prepareTerminationLog(shown, container.name);
    const zygote = zygoteOf(context, pod, container, image);
    const spec: ContainerSpec = {
      podUid: uid,
      name: container.name,
      command: image.command.map((part) => expand(part, (key) => env[key])),
      env,
      workingDir: container.workingDir || image.workingDir,
      hostname: name,
      ...(image.rootfs ? { rootfs: image.rootfs } : {}),
      mounts: [
        ...(image.mounts ?? []),
        ...etcMounts(shown, pod),
        ...mountsOf(pod, container, context.volumes, env),
        ...cacheMount(context, pod),
      ],
      limits: limitsOf(pod, container),
      ...(user ? { user } : {}),
      ...(zygote ? { zygote } : {}),
      ...(last
        ? { terminationLog: { source: last, target: container.terminationMessagePath || DEFAULT_LAST_WORDS } }
        : {}),
    };
    return { spec, ...(image.socket ? { socket } : {}), ...(image.id ? { imageID: image.id } : {}) };
  } catch (error) {
    if (error instanceof ConfigError || error instanceof SecurityProblem) {
      throw new CannotStart('CreateContainerConfigError', error.message);
    }
    throw error;
  }
}
