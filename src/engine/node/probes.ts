/** Probes of a container. Counting is pure; timing and the probes themselves follow kubelet's `prober`. */
import { connect } from 'node:net';
import type { Clock, Timer } from '../../base/clock.ts';
import type { Container, HttpGetAction, Probe } from '../../kinds/pod.ts';
import type { RunningContainer } from './drivers/driver.ts';

export type ProbeKind = 'startup' | 'liveness' | 'readiness';

export interface ProbeResult {
  ok: boolean;
  message: string;
}

export interface ProbeState {
  /** Consecutive results equal to `last`. */
  run: number;
  last: boolean | undefined;
}

/** The verdict after one more result: true or false once a threshold is reached, else undefined. */
export function judge(
  state: ProbeState,
  ok: boolean,
  probe: Pick<Probe, 'successThreshold' | 'failureThreshold'>,
): { state: ProbeState; verdict: boolean | undefined } {
  const run = state.last === ok ? state.run + 1 : 1;
  const needed = ok ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3);
  return { state: { run, last: ok }, verdict: run >= needed ? ok : undefined };
}

function portOf(container: Container, port: number | string): number {
  if (typeof port === 'number') return port;
  const named = container.ports?.find(({ name }) => name === port)?.containerPort;
  return named ?? Number(port);
}

/** Asks once; 200 to 399 is well. Never rejects. */
export async function httpGet(
  container: Container,
  get: HttpGetAction,
  timeoutMs: number,
): Promise<ProbeResult> {
  const { request } =
    get.scheme === 'HTTPS' ? await import('node:https') : await import('../../base/http.ts');
  const headers: Record<string, string> = { 'user-agent': 'kube-probe/1.32', accept: '*/*' };
  for (const { name, value } of get.httpHeaders ?? []) headers[name] = value;
  return new Promise((resolve) => {
    const call = request({
      host: get.host || '127.0.0.1',
      port: portOf(container, get.port),
      path: get.path || '/',
      headers,
      agent: false,
      rejectUnauthorized: false,
      timeout: timeoutMs,
    });
    const deadline = setTimeout(() => call.destroy(new Error('context deadline exceeded')), timeoutMs);
    const end = (result: ProbeResult) => {
      clearTimeout(deadline);
      resolve(result);
    };
    call.on('error', (error) => end({ ok: false, message: `Get: ${error.message}` }));
    call.on('response', (response) => {
      const { statusCode = 0 } = response;
      response.destroy();
      const ok = statusCode >= 200 && statusCode < 400;
      end({ ok, message: ok ? '' : `HTTP probe failed with statuscode: ${statusCode}` });
    });
    call.end();
  });
}

function tcp(host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (result: ProbeResult) => {
      clearTimeout(deadline);
      socket.destroy();
      resolve(result);
    };
    const deadline = setTimeout(
      () => end({ ok: false, message: `dial tcp ${host}:${port}: i/o timeout` }),
      timeoutMs,
    );
    socket.on('connect', () => end({ ok: true, message: '' }));
    socket.on('error', (error) => end({ ok: false, message: `dial tcp ${host}:${port}: ${error.message}` }));
  });
}

/** Runs one probe once. Never rejects. */
export async function runProbe(
  container: Container,
  probe: Probe,
  running: RunningContainer,
): Promise<ProbeResult> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  if (probe.httpGet) return httpGet(container, probe.httpGet, timeoutMs);
  if (probe.tcpSocket) {
    return tcp(probe.tcpSocket.host || '127.0.0.1', portOf(container, probe.tcpSocket.port), timeoutMs);
  }
  if (probe.grpc) {
    const { checkHealth } = await import('./grpc-health.ts');
    return checkHealth('127.0.0.1', probe.grpc.port, probe.grpc.service ?? '', timeoutMs);
  }
  if (probe.exec) {
    const { exitCode, output, timedOut } = await running.exec(probe.exec.command ?? [], timeoutMs);
    if (timedOut) return { ok: false, message: `command timed out after ${timeoutMs / 1000}s` };
    return { ok: exitCode === 0, message: output.trim() };
  }
  return { ok: true, message: '' };
}

export interface Prober {
  stop(): void;
}

export interface ProbeEvents {
  /** The startup probe has succeeded (or there is none): the other probes begin. */
  started(): void;
  ready(ready: boolean): void;
  /** Liveness or startup has failed: the container must be restarted, within the probe's own grace period if it has one. */
  unhealthy(kind: ProbeKind, graceSeconds: number | undefined): void;
  /** One failed attempt, for an Event. */
  failed(kind: ProbeKind, message: string): void;
}

/**
 * A container that starts is looked at this often at first, then less and less up to the period: most servers are there long before
 * the first period is over. Such extra looks count when they succeed; failures count once a period, as kubelet counts them.
 */
const FIRST_LOOK_MS = { cheap: 10, exec: 50 };
const LOOK_GROWTH = 1.5;

/** Probes a running container until stopped. Containers without probes cost nothing. */
export function startProbes(
  container: Container,
  running: RunningContainer,
  clock: Clock,
  events: ProbeEvents,
): Prober {
  let stopped = false;
  const timers = new Set<Timer>();
  const wait = (ms: number, then: () => void) => {
    const timer = clock.after(ms, () => {
      timers.delete(timer);
      if (!stopped) then();
    });
    timers.add(timer);
  };

  const loop = (kind: ProbeKind, probe: Probe, verdicts: (verdict: boolean) => 'go on' | 'stop') => {
    const periodMs = Math.max(1, probe.periodSeconds ?? 10) * 1000;
    let state: ProbeState = { run: 0, last: undefined };
    /** Until the next extra look; not below the period once there are none any more. */
    let pauseMs = kind === 'liveness' ? periodMs : FIRST_LOOK_MS[probe.exec ? 'exec' : 'cheap'];
    /** From then on a failure counts again. */
    let countsAt = clock.monotonic();
    const attempt = async () => {
      const at = clock.monotonic();
      const result = await runProbe(container, probe, running);
      if (stopped) return;
      const counts = result.ok || at >= countsAt;
      if (counts) {
        if (!result.ok) {
          countsAt = at + periodMs;
          events.failed(kind, result.message);
        }
        const judged = judge(state, result.ok, probe);
        state = judged.state;
        if (judged.verdict !== undefined && verdicts(judged.verdict) === 'stop') return;
      }
      const looks = !result.ok && pauseMs < periodMs;
      const left = countsAt - clock.monotonic();
      wait(looks ? Math.min(pauseMs, Math.max(1, left)) : periodMs, () => void attempt());
      pauseMs = looks ? pauseMs * LOOK_GROWTH : periodMs;
    };
    wait((probe.initialDelaySeconds ?? 0) * 1000, () => void attempt());
  };

  const begin = () => {
    events.started();
    const { readinessProbe, livenessProbe } = container;
    if (readinessProbe) {
      loop('readiness', readinessProbe, (ready) => {
        events.ready(ready);
        return 'go on';
      });
    } else events.ready(true);
    if (livenessProbe) {
      loop('liveness', livenessProbe, (alive) => {
        if (!alive) events.unhealthy('liveness', livenessProbe.terminationGracePeriodSeconds);
        return alive ? 'go on' : 'stop';
      });
    }
  };

  const { startupProbe } = container;
  if (startupProbe) {
    loop('startup', startupProbe, (up) => {
      if (up) begin();
      else events.unhealthy('startup', startupProbe.terminationGracePeriodSeconds);
      return 'stop';
    });
  } else begin();

  return {
    stop() {
      stopped = true;
      for (const timer of timers) timer.cancel();
      timers.clear();
    },
  };
}
