/** Brings one Pod to life and to its end: does what `lifecycle.ts` decides and reports what has happened. */
import type { Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { FUNCTION_LABELS } from '../../kinds/function.ts';
import { asUpdated, launchKey, overlaps, updateOf } from '../../kinds/in-place.ts';
import type { Container, Pod } from '../../kinds/pod.ts';
import { KubeError } from '../../kube/client.ts';
import { logGroup } from '../../kube/logs/gone.ts';
import { PODS } from '../../kube/refs.ts';
import { type ContainerRun, followRun } from './container-run.ts';
import type { WorkerContext } from './context.ts';
import type { ContainerExit, ContainerUsage, RunningContainer } from './drivers/driver.ts';
import { CannotStart, cacheMount, prepareLaunch } from './launch.ts';
import {
  afterExit,
  type ContainerRecord,
  decide,
  hasEnded,
  isSidecar,
  newRecord,
  nextToStop,
  type Records,
  type Terminated,
} from './lifecycle.ts';
import { limitsOf } from './limits.ts';
import type { LogWriter } from './logs/writer.ts';
import { createPodEnding } from './pod-ending.ts';
import { podStatus, recordsFromStatus } from './pod-status.ts';
import { createStatusWriter } from './status-writer.ts';
import { terminationMessage } from './termination.ts';
import { tellsOfPod } from './volume-files.ts';
import { createVolumeRenewal } from './volume-renewal.ts';
import { removeVolumes } from './volumes.ts';
import { backedOff, heldBack } from './waiting.ts';

export interface PodWorker {
  readonly uid: string;
  readonly pod: Pod;
  readonly records: Records;
  /** What the containers that run use now, by name. */
  usage(): { name: string; startedAt: number; usage: ContainerUsage }[];
  /** The object has changed. */
  update(pod: Pod): void;
  /** Something the Pod refers to has changed: try again what waits for it, renew volumes. */
  refresh(): void;
  /** The object is gone: end everything at once. Resolves when nothing is left. */
  remove(): Promise<void>;
  /** The platform ends: stops the containers gracefully within `graceMs`; the object stays. */
  shutdown(graceMs: number): Promise<void>;
}

const REVISION = 'serving.knative.dev/revision';
const DEFAULT_GRACE_S = 30;
const CONFIG_RETRY_MS = 60_000;
const START_RETRY_MS = 10_000;

export function createPodWorker(context: WorkerContext, initial: Pod): PodWorker {
  const { driver, clock, events, logs } = context;
  const uid = initial.metadata.uid!;
  const { name, namespace = 'default' } = initial.metadata;
  const log = context.log.with({ pod: `${namespace}/${name}` });
  const owner = { namespace, pod: name, uid };
  const startedAt = clock.now();

  let pod = asUpdated(initial);
  const records = recordsFromStatus(initial, startedAt);
  const live = new Map<string, ContainerRun>();
  /** Runs that end while another has taken their place. */
  const leaving = new Set<ContainerRun>();
  /** Starts under way. */
  const starting = new Map<string, Promise<void>>();
  let finished = ['Succeeded', 'Failed'].includes(initial.status?.phase ?? '');
  let gone = false;
  let wake: Timer | undefined;
  let finishing: Promise<void> | undefined;

  /** Somebody may be sending requests to it. */
  const isServing = () =>
    pod.spec.containers.some((container) => container.ports?.length && record(container.name).ready);
  const runs = () => [...live.values(), ...leaving];
  const ending = createPodEnding(
    clock,
    () => {
      for (const run of runs()) run.kill();
    },
    () => sync(),
  );
  /** Whose lines those in its log are. */
  const ofFunction = () => {
    const { labels } = pod.metadata;
    const group = logGroup(labels);
    return group === undefined ? undefined : { group, revision: labels?.[REVISION] ?? '' };
  };
  const all = () => [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  /** Whether it takes part in the Pod's readiness, and may be probed. */
  const serves = (container: Container) =>
    isSidecar(container) || pod.spec.containers.some(({ name: each }) => each === container.name);
  const record = (container: string) => {
    const found = records.get(container) ?? newRecord();
    records.set(container, found);
    return found;
  };
  const change = (container: string, fields: Partial<ReturnType<typeof newRecord>>) =>
    records.set(container, { ...record(container), ...fields });

  const status = createStatusWriter({
    client: context.client,
    pod: initial,
    clock,
    log,
    compute: () => ({
      ...pod.status,
      ...podStatus(
        pod,
        records,
        {
          hostIP: context.facts.hostIP,
          podIP: context.facts.podIP,
          machine: context.machine,
          terminating: ending.begun,
          startedAt,
        },
        clock.now(),
      ),
    }),
  });

  const sync = () => {
    if (gone) return;
    if (ending.begun) {
      if (!ending.settling) stopNext();
      return finishIfDone();
    }
    if (finished) return;
    wake?.cancel();
    wake = undefined;
    if (hasEnded(pod, records)) {
      if (live.size > 0) return stopNext();
      if (leaving.size > 0) return;
      finished = true;
      status.report(true);
      return release();
    }
    const decision = decide(pod, records, clock.monotonic());
    for (const { container, record: waiting } of decision.backOff) backOff(container, waiting);
    for (const container of decision.start) {
      if (!starting.has(container.name)) {
        const start = startContainer(container).finally(() => {
          starting.delete(container.name);
          if (ending.begun) sync();
        });
        starting.set(container.name, start);
      }
    }
    if (decision.wakeAt !== undefined) wake = clock.after(decision.wakeAt - clock.monotonic(), sync);
  };

  /** Everything has to end: tells those whose turn it is. */
  const stopNext = () => {
    for (const container of nextToStop(pod, new Set(live.keys()))) {
      const run = live.get(container)!;
      if (run.stopping) continue;
      events.record(pod, 'Normal', 'Killing', `Stopping container ${container}`);
      change(container, { ready: false });
      run.stop(graceMs());
    }
  };

  const backOff = (container: Container, waiting: ContainerRecord) => {
    if (waiting.state.kind !== 'terminated') return;
    const { change: fields, event } = backedOff(pod, container, waiting, waiting.state);
    change(container.name, fields);
    events.record(pod, 'Warning', 'BackOff', event);
    status.report(true);
  };

  /** Cannot start now: say why, and try again later or when something changes. */
  const hold = (container: Container, why: CannotStart, retryMs: number) => {
    const held = heldBack(container, record(container.name), why, retryMs, clock.monotonic());
    if (held.isNews) events.record(pod, 'Warning', why.event, held.message);
    change(container.name, held.change);
    status.report(true);
    sync();
  };

  const startContainer = async (container: Container): Promise<void> => {
    const before = record(container.name);
    const ran = before.state.kind === 'terminated' ? before.state : before.last;
    const state = before.state.kind === 'waiting' ? before.state : { kind: 'starting' as const };
    change(container.name, { state, last: ran, key: launchKey(container), imageID: '' });
    try {
      const config = await context.config(pod);
      const preparation = context.prepare(container.image);
      if (preparation) await preparation;
      const pulling = context.pull(pod, container, (type, reason, message) =>
        events.record(pod, type, reason, message),
      );
      if (pulling) await pulling;
      if (gone || ending.begun) return;
      const { spec, socket, imageID } = prepareLaunch(context, pod, container, config);
      if (imageID) change(container.name, { imageID });
      if (!isPooled(pod)) events.record(pod, 'Normal', 'Created', `Created container: ${container.name}`);
      const restarts = ran || before.containerID ? before.restarts + 1 : 0;
      const writer = logs.begin({ ...owner, container: container.name }, restarts, ofFunction());
      const running = await driver.start(spec, {
        stdout: (chunk) => writer.write('stdout', chunk),
        stderr: (chunk) => writer.write('stderr', chunk),
      });
      began(container, running, writer, restarts, { socket, said: spec.terminationLog?.source });
    } catch (error) {
      if (error instanceof CannotStart) return hold(container, error, CONFIG_RETRY_MS);
      const message = messageOf(error);
      log.warn('a container was not started', { container: container.name, error: message });
      hold(container, new CannotStart('CreateContainerError', message), START_RETRY_MS);
    }
  };

  const began = (
    container: Container,
    running: RunningContainer,
    writer: LogWriter,
    restarts: number,
    { socket, said }: { socket: string | undefined; said: string | undefined },
  ) => {
    const tell = (type: 'Normal' | 'Warning', reason: string, message: string) =>
      events.record(pod, type, reason, message);
    change(container.name, {
      state: { kind: 'running', startedAt: clock.now() },
      restarts,
      containerID: running.id,
    });
    const run = followRun({
      container,
      running,
      writer,
      clock,
      probed: serves(container) && !gone && !ending.begun,
      socket,
      events: {
        tell,
        started() {
          const { passed } = record(container.name);
          change(container.name, { started: true, passed: true });
          // What comes after a sidecar waits for this; nothing waits for a container's.
          if (!passed && isSidecar(container)) sync();
        },
        ready(ready) {
          if (record(container.name).ready === ready) return;
          change(container.name, { ready });
          status.report(true);
        },
        unhealthy(kind, graceSeconds) {
          const what =
            kind === 'postStart' ? 'FailedPostStartHook' : `Container ${container.name} failed ${kind} probe`;
          tell('Normal', 'Killing', `${what}, will be restarted`);
          run.stop((graceSeconds ?? graceOf(pod)) * 1000);
        },
        ended: (exit, at, ranMs, logged) => void ended(container, run, { exit, at, ranMs, said, logged }),
      },
    });
    live.set(container.name, run);
    volumes.started();
    if (gone) return running.kill();
    if (ending.begun) return stopNext();
    if (!isPooled(pod)) tell('Normal', 'Started', `Started container ${container.name}`);
    // Who has asked for an update waits to hear that it has begun.
    const awaited = updateOf(pod) !== undefined;
    status.report(awaited || (!socket && !(container.startupProbe ?? container.readinessProbe)));
    replaceIfChanged(container.name);
  };

  /** What runs is no longer what the Pod asks for: it ends gracefully and a new run takes its place. */
  const replaceIfChanged = (name: string) => {
    const wanted = pod.spec.containers.find((container) => container.name === name);
    const { key, state } = record(name);
    if (!wanted || key === launchKey(wanted)) return;
    const run = live.get(name);
    if (run && !run.stopping) {
      events.record(pod, 'Normal', 'Killing', `Container ${name} definition changed, will be restarted`);
      change(name, { ready: false });
      run.stop(graceMs());
      if (overlaps(pod)) {
        live.delete(name);
        leaving.add(run);
        change(name, { state: newRecord().state, started: false, notBefore: 0, backoffMs: 0 });
        sync();
      }
      status.report(true);
    } else if (!run && (state.kind === 'waiting' || state.kind === 'terminated')) {
      change(name, { key: launchKey(wanted), notBefore: 0, backoffMs: 0 });
      sync();
    }
  };

  const ended = async (
    container: Container,
    run: ContainerRun,
    how: { exit: ContainerExit; at: number; ranMs: number; said: string | undefined; logged: Promise<void> },
  ) => {
    const { exit, ranMs } = how;
    const finishedAt = clock.now();
    const at = clock.monotonic();
    const before = record(container.name);
    const tail = async function* (tailLines: number) {
      await how.logged;
      yield* logs.read({ ...owner, container: container.name }, before.restarts, { tailLines });
    };
    const message = gone
      ? undefined
      : await terminationMessage(container, exit.exitCode, how.said, tail).catch(() => undefined);
    if (live.get(container.name) === run) live.delete(container.name);
    const end: Terminated = {
      exitCode: exit.exitCode,
      reason: exit.oomKilled ? 'OOMKilled' : exit.exitCode === 0 ? 'Completed' : 'Error',
      ...(message === undefined ? {} : { message }),
      startedAt: how.at,
      finishedAt,
    };
    if (leaving.delete(run)) {
      change(container.name, { last: end });
      return gone ? undefined : sync();
    }
    const next = afterExit(pod, container, record(container.name), end, ranMs, at);
    const wanted = pod.spec.containers.find(({ name: each }) => each === container.name);
    const replaced = wanted !== undefined && launchKey(wanted) !== next.key;
    records.set(container.name, replaced ? { ...next, notBefore: 0, backoffMs: 0 } : next);
    if (gone) return;
    sync();
    status.report(ending.begun || !starting.has(container.name));
  };

  const terminate = (graceSeconds: number) => {
    wake?.cancel();
    // Who asks is told at once that nothing should be sent here any more, and hears it before the program does.
    ending.begin(graceSeconds * 1000, isServing());
    for (const name of live.keys()) change(name, { ready: false });
    status.report(true);
    sync();
  };

  /** Everything has ended: the last status, then the object may go. */
  const finishIfDone = () => {
    if (runs().length > 0 || starting.size > 0 || finishing) return;
    ending.cancel();
    finishing = (async () => {
      for (const { name: container } of all()) {
        const { state, last } = record(container);
        if (state.kind === 'terminated') continue;
        // Never ran, or waited for its next run: it ends as it last was.
        if (last) change(container, { state: { kind: 'terminated', ...last } });
      }
      if (!pod.metadata.deletionTimestamp) return;
      status.report(true);
      await status.flush();
      release();
      try {
        await context.client.delete(PODS, namespace, name, { gracePeriodSeconds: 0, preconditions: { uid } });
      } catch (error) {
        if (!(error instanceof KubeError && (error.code === 404 || error.code === 409))) {
          log.warn('a Pod that has ended was not deleted', {
            error: messageOf(error),
          });
          clock.after(1000, () => {
            finishing = undefined;
            sync();
          });
        }
      }
    })();
  };

  const volumes = createVolumeRenewal(context, () => (live.size === 0 || gone || finished ? undefined : pod));

  /** Gives back what a Pod that will not run again has on this machine; its logs stay. */
  const release = () => {
    volumes.stop();
    context.tokens.forget(uid);
    removeVolumes(context.volumes, uid);
    driver.removePod(uid);
  };

  if (initial.metadata.deletionTimestamp) terminate(graceOf(initial));
  else {
    // Known at once that someone takes care of it, even if the start has to wait.
    if (!finished) sync();
  }

  return {
    uid,
    get pod() {
      return pod;
    },
    get records() {
      return records;
    },
    usage() {
      return [...live].flatMap(([container, { running }]) => {
        const { state } = record(container);
        const usage = running.usage();
        return usage && state.kind === 'running'
          ? [{ name: container, startedAt: state.startedAt, usage }]
          : [];
      });
    },
    update(next) {
      const old = pod;
      pod = asUpdated(next);
      if (next.metadata.deletionTimestamp) {
        const grace = graceOf(next);
        if (!ending.begun || grace < graceOf(old)) terminate(grace);
        else sync();
        return;
      }
      const cache = cacheMount(context, next);
      if (cache.length > 0 && cacheMount(context, old).length === 0) {
        for (const { running } of live.values()) for (const mount of cache) void running.addMount(mount);
      }
      for (const container of next.spec.containers) {
        const limits = limitsOf(next, container);
        const before = old.spec.containers.find((candidate) => candidate.name === container.name);
        if (before && JSON.stringify(limits) !== JSON.stringify(limitsOf(old, before))) {
          live.get(container.name)?.running.setLimits(limits);
        }
        if (!finished) replaceIfChanged(container.name);
      }
      const told = ({ metadata: { labels, annotations } }: Pod) => JSON.stringify([labels, annotations]);
      if (tellsOfPod(pod) && told(old) !== told(pod)) volumes.renew();
    },
    refresh() {
      if (gone || finished || ending.begun) return;
      for (const container of all()) {
        const { state } = record(container.name);
        if (state.kind === 'waiting' && state.reason !== 'CrashLoopBackOff')
          change(container.name, { notBefore: 0 });
      }
      volumes.renew();
      sync();
    },
    async remove() {
      gone = true;
      wake?.cancel();
      ending.cancel();
      status.stop();
      for (const { running } of runs()) running.kill();
      await Promise.all([...starting.values()]);
      await Promise.all(runs().map(({ running }) => running.exited));
      release();
      await logs.release(owner, ofFunction());
    },
    async shutdown(graceMs) {
      const current = runs();
      for (const { running } of current) running.signal('SIGTERM');
      const timer = clock.after(graceMs, () => {
        for (const { running } of current) running.kill();
      });
      gone = true;
      wake?.cancel();
      status.stop();
      await Promise.all([...starting.values()]);
      for (const run of runs()) if (!current.includes(run)) run.kill();
      await Promise.all(runs().map(({ running }) => running.exited));
      timer.cancel();
      ending.cancel();
    },
  };

  /** How long a container that is told to end now may take. */
  function graceMs(): number {
    return ending.begun ? ending.leftMs() : graceOf(pod) * 1000;
  }

  function graceOf(of: Pod): number {
    return of.metadata.deletionGracePeriodSeconds ?? of.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S;
  }
}

/** Members of a pool come and go by the dozen: what is the same for all of them is not worth an Event each. */
const isPooled = ({ metadata }: Pod) => metadata.labels?.[FUNCTION_LABELS.pool] === 'generic';
