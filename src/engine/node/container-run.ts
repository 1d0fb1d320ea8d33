/** One run of a container: its hooks, its probes, its graceful end. What follows from them is the Pod worker's to decide. */
import type { Clock, Timer } from '../../base/clock.ts';
import type { Container, LifecycleHandler } from '../../kinds/pod.ts';
import type { ContainerExit, RunningContainer } from './drivers/driver.ts';
import type { LogWriter } from './logs/writer.ts';
import { httpGet, type ProbeKind, type ProbeResult, type Prober, runProbe, startProbes } from './probes.ts';
import { whenSocketAccepts } from './socket-ready.ts';

export interface RunOptions {
  container: Container;
  running: RunningContainer;
  writer: LogWriter;
  clock: Clock;
  /** Absent: ready says nothing of it, as with init containers. */
  probed: boolean;
  /** Ready only when this socket accepts connections. */
  socket: string | undefined;
  events: RunEvents;
}

export interface RunEvents {
  /** The startup probe has succeeded, or there is none. */
  started(): void;
  ready(ready: boolean): void;
  /** It has to be replaced by a new run; `graceSeconds` where the probe says how long it may take. */
  unhealthy(kind: ProbeKind | 'postStart', graceSeconds: number | undefined): void;
  /** For an Event about the Pod. */
  tell(type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Every process is gone. `ranMs` is of the monotonic clock; `logged` resolves when all output is in the log. */
  ended(exit: ContainerExit, startedAt: number, ranMs: number, logged: Promise<void>): void;
}

export interface ContainerRun {
  readonly running: RunningContainer;
  /** It has been told to end. */
  readonly stopping: boolean;
  /** Ends it gracefully: no more probes, its preStop hook, SIGTERM, and after `graceMs` in all SIGKILL. Only the first call counts. */
  stop(graceMs: number): void;
  kill(): void;
}

/** A program that a hook has held up for all of its grace period still gets this long. Source: kubelet `minimumGracePeriodInSeconds`. */
const LEAST_GRACE_MS = 2000;
/** A postStart hook without an end must not keep what waits for it for ever. */
const POST_START_MS = 600_000;

export function followRun(options: RunOptions): ContainerRun {
  const { container, running, writer, clock, events } = options;
  const since = { time: clock.now(), monotonic: clock.monotonic() };
  let prober: Prober | undefined;
  let stopWaiting: (() => void) | undefined;
  let killAt: Timer | undefined;
  let stopping = false;
  let over = false;

  const quiet = () => {
    prober?.stop();
    stopWaiting?.();
  };

  const probe = () => {
    if (stopping || over) return;
    prober = startProbes(container, running, clock, {
      started: events.started,
      ready: events.ready,
      unhealthy: events.unhealthy,
      failed(kind, message) {
        const title = `${kind[0]!.toUpperCase()}${kind.slice(1)}`;
        events.tell('Warning', 'Unhealthy', `${title} probe failed: ${message}`);
      },
    });
  };

  const postStart = async (handler: LifecycleHandler) => {
    const { ok, message } = await runHook(container, handler, running, clock, POST_START_MS);
    if (ok || stopping || over) return;
    events.tell('Warning', 'FailedPostStartHook', `PostStartHook failed: ${message}`);
    events.unhealthy('postStart', undefined);
  };

  const stop = async (graceMs: number) => {
    if (stopping || over) return;
    stopping = true;
    quiet();
    killAt = clock.after(graceMs, () => running.kill());
    const { preStop } = container.lifecycle ?? {};
    if (preStop && graceMs > 0) {
      const begun = clock.monotonic();
      const { ok, message } = await runHook(container, preStop, running, clock, graceMs);
      if (!ok) events.tell('Warning', 'FailedPreStopHook', `PreStopHook failed: ${message}`);
      if (over) return;
      killAt.cancel();
      const left = Math.max(LEAST_GRACE_MS, graceMs - (clock.monotonic() - begun));
      killAt = clock.after(left, () => running.kill());
    }
    running.signal('SIGTERM');
  };

  void running.exited.then((exit) => {
    over = true;
    quiet();
    killAt?.cancel();
    events.ended(exit, since.time, clock.monotonic() - since.monotonic, writer.close());
  });
  if (container.lifecycle?.postStart) void postStart(container.lifecycle.postStart);
  if (options.probed) {
    if (options.socket) stopWaiting = whenSocketAccepts(options.socket, probe);
    else probe();
  }

  return {
    running,
    get stopping() {
      return stopping;
    },
    stop: (graceMs) => void stop(graceMs),
    kill: () => running.kill(),
  };
}

/** Runs a lifecycle hook once, for at most `timeoutMs`. Never rejects. */
function runHook(
  container: Container,
  { exec, httpGet: get, sleep }: LifecycleHandler,
  running: RunningContainer,
  clock: Clock,
  timeoutMs: number,
): Promise<ProbeResult> {
  if (get) return httpGet(container, get, timeoutMs);
  if (exec) return runProbe(container, { exec, timeoutSeconds: timeoutMs / 1000 }, running);
  const slept = { ok: true, message: '' };
  const ms = Math.min(timeoutMs, (sleep?.seconds ?? 0) * 1000);
  return new Promise((resolve) => {
    const timer = clock.after(ms, () => resolve(slept));
    void running.exited.then(() => {
      timer.cancel();
      resolve(slept);
    });
  });
}
