import assert from 'node:assert/strict';
import test from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import type { Revision } from '../../kinds/serving.ts';
import { DEFAULT_AUTOSCALER_CONFIG } from '../autoscaler/config.ts';
import { createPushedMetrics, type MetricSource } from '../autoscaler/metrics.ts';
import { InstanceError } from '../contract.ts';
import { createFakeGateway, createFakeSource } from '../testing.ts';
import { createScaler } from './scaler.ts';

const KEY = 'default/r';

interface RevisionOptions {
  concurrency?: number;
  annotations?: Record<string, string>;
  ready?: 'True' | 'False' | 'none';
  metrics?: MetricSource[];
}

function setUp({ concurrency = 0, annotations = {}, ready = 'True', metrics = [] }: RevisionOptions = {}) {
  const clock = simulatedClock();
  const gateway = createFakeGateway();
  const source = createFakeSource(clock);
  const changes: boolean[] = [];
  const problems: string[] = [];
  const scaler = createScaler({
    gateway,
    sources: [source],
    clock,
    random: () => 0.5,
    log: silentLogger,
    config: DEFAULT_AUTOSCALER_CONFIG,
    metrics,
    maxRequestBytes: 0,
    queueDepth: 100,
    onChange: (_key, urgent) => changes.push(urgent),
    onLoss: () => {},
    onProblem: (_revision, problem) => problems.push(problem),
    onServiceProblem: (_key, problem) => problems.push(problem),
  });
  const revision: Revision = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: {
      name: 'r',
      namespace: 'default',
      uid: 'u1',
      generation: 1,
      creationTimestamp: new Date(clock.now() - 3_600_000).toISOString(),
      annotations: Object.fromEntries(
        Object.entries(annotations).map(([name, value]) => [`autoscaling.knative.dev/${name}`, value]),
      ),
    },
    spec: { containers: [{ name: 'c' }], containerConcurrency: concurrency },
    status: { observedGeneration: 1, conditions: ready !== 'none' ? [{ type: 'Ready', status: ready }] : [] },
  };
  const up = () => gateway.ids(KEY).length;
  const report = (
    averageConcurrency: number,
    extra: { queued?: number; inFlight?: number; requestCount?: number } = {},
  ) =>
    scaler.stats(
      [
        {
          key: KEY,
          averageConcurrency,
          requestCount: 1,
          inFlight: Math.round(averageConcurrency),
          queued: 0,
          ...extra,
        },
      ],
      1000,
    );
  /** Constant load for that many seconds, reported every second. */
  const load = async (seconds: number, averageConcurrency: number) => {
    for (let second = 0; second < seconds; second++) {
      await clock.advance(1000);
      report(averageConcurrency);
      await clock.advance(0);
    }
  };
  const begin = () => scaler.upsert(revision, true, true);
  return { clock, gateway, source, scaler, revision, changes, problems, up, report, load, begin };
}

test('a waiting request starts an instance in the same turn, and the gateway has it as soon as it is up', async () => {
  const { source, scaler, clock, up, begin } = setUp();
  await begin();
  assert.equal(clock.pending(), 0, 'nothing ticks for an idle revision');
  source.startMs = 5;
  scaler.demand(KEY, 1, 0);
  assert.equal(source.starts.get(KEY), 1);
  await clock.advance(4);
  assert.equal(up(), 0);
  await clock.advance(1);
  assert.equal(up(), 1);
});

test('without a concurrency limit a burst needs one instance', async () => {
  const { source, scaler, clock, begin } = setUp();
  await begin();
  source.startMs = 50;
  for (const queued of [1, 2, 4, 8, 500]) scaler.demand(KEY, queued, 0);
  await clock.advance(100);
  assert.equal(source.starts.get(KEY), 1);
});

test('with a limit a burst needs its quotient, never an instance per request', async () => {
  const { source, scaler, clock, begin } = setUp({ concurrency: 10 });
  await begin();
  source.startMs = 50;
  for (const queued of [1, 2, 4, 8, 16, 32, 64, 95]) scaler.demand(KEY, queued, 0);
  assert.equal(source.starts.get(KEY), 10);
  await clock.advance(100);
  scaler.demand(KEY, 5, 100);
  assert.equal(source.starts.get(KEY), 11);
});

test('a large burst starts in waves, each as large as the reports still show a need for', async () => {
  const { source, scaler, clock, report, begin, up } = setUp({ concurrency: 1 });
  await begin();
  source.startMs = 10;
  scaler.demand(KEY, 100, 0);
  await clock.advance(500);
  assert.equal(up(), 16);
  report(100, { queued: 84, inFlight: 16 });
  await clock.advance(100);
  assert.equal(up(), 48);
  assert.equal(source.starts.get(KEY), 48);
});

test('a burst that is over with the first wave starts no second one', async () => {
  const { source, scaler, clock, report, begin } = setUp({ concurrency: 1 });
  await begin();
  scaler.demand(KEY, 100, 0);
  await clock.advance(900);
  report(0.1, { requestCount: 100, queued: 0, inFlight: 0 });
  await clock.advance(10_000);
  assert.equal(source.starts.get(KEY), 16);
});

test('the maximum holds for bursts and for load', async () => {
  const { scaler, clock, up, load, begin } = setUp({ concurrency: 1, annotations: { 'max-scale': '3' } });
  await begin();
  scaler.demand(KEY, 50, 0);
  await clock.advance(0);
  assert.equal(up(), 3);
  await load(20, 50);
  assert.equal(up(), 3);
});

test('steady load scales to what the target says, and half the load back down by halves', async () => {
  const { scaler, up, load, begin } = setUp({ concurrency: 10 });
  await begin();
  scaler.demand(KEY, 1, 0);
  await load(90, 35);
  // 35 concurrent over a target of 10 · 0.7.
  assert.equal(up(), 5);
  await load(180, 7);
  assert.equal(up(), 1);
});

test('a revision nobody asks for goes to zero after its window, drained first, and then nothing ticks', async () => {
  const { scaler, clock, gateway, source, up, load, begin } = setUp();
  await begin();
  scaler.demand(KEY, 1, 0);
  await load(10, 1);
  const drained = Promise.withResolvers<void>();
  gateway.hold = drained.promise;
  await clock.advance(55_000);
  assert.equal(up(), 1, 'the last request is still in the window');
  await clock.advance(10_000);
  assert.equal(up(), 0);
  assert.deepEqual(source.released, []);
  drained.resolve();
  await clock.advance(0);
  assert.deepEqual(source.released, ['i1']);
  await clock.advance(10_000);
  assert.equal(clock.pending(), 0);
  assert.equal(scaler.scale(KEY)?.active, 'False');
});

test('retention keeps the last instance that much longer', async () => {
  const { scaler, clock, up, load, begin } = setUp({
    annotations: { 'scale-to-zero-pod-retention-period': '2m' },
  });
  await begin();
  scaler.demand(KEY, 1, 0);
  await load(10, 1);
  await clock.advance(65_000);
  assert.equal(scaler.scale(KEY)?.active, 'False');
  assert.equal(up(), 1);
  await clock.advance(110_000);
  assert.equal(up(), 1);
  await clock.advance(15_000);
  assert.equal(up(), 0);
});

test('a request during retention makes the revision active again', async () => {
  const { scaler, clock, up, load, begin } = setUp({
    annotations: { 'scale-to-zero-pod-retention-period': '2m' },
  });
  await begin();
  scaler.demand(KEY, 1, 0);
  await load(10, 1);
  await clock.advance(100_000);
  assert.equal(scaler.scale(KEY)?.active, 'False');
  await load(3, 1);
  assert.equal(scaler.scale(KEY)?.active, 'True');
  await clock.advance(100_000);
  assert.equal(up(), 1);
});

test('a long request keeps its instance', async () => {
  const { scaler, up, load, begin } = setUp();
  await begin();
  scaler.demand(KEY, 1, 0);
  await load(300, 1);
  assert.equal(up(), 1);
});

test('the minimum is kept without traffic and without ticking, and given up when no route leads here', async () => {
  const { scaler, clock, revision, up, begin } = setUp({ annotations: { 'min-scale': '2' } });
  await begin();
  await clock.advance(200_000);
  assert.equal(up(), 2);
  assert.equal(clock.pending(), 0);
  await scaler.upsert(revision, false, false);
  await clock.advance(200_000);
  assert.equal(up(), 0);
});

test('an unproven revision is started once; the initial scale may be larger', async () => {
  const { clock, source, scaler, changes, begin, up } = setUp({
    ready: 'none',
    annotations: { 'initial-scale': '3' },
  });
  source.startMs = 100;
  await begin();
  assert.deepEqual(scaler.scale(KEY)?.initialized, false);
  await clock.advance(100);
  assert.equal(up(), 3);
  assert.equal(scaler.scale(KEY)?.initialized, true);
  assert.ok(changes.includes(true));
});

test('a new revision has its minimum before it is ready, so that it can take all traffic at once', async () => {
  const { clock, source, scaler, revision, up } = setUp({ ready: 'none', annotations: { 'min-scale': '3' } });
  source.startMs = 100;
  await scaler.upsert(revision, false, true);
  await clock.advance(50);
  assert.equal(source.starts.get(KEY), 3);
  assert.equal(scaler.scale(KEY)?.initialized, false);
  await clock.advance(50);
  assert.deepEqual([up(), scaler.scale(KEY)?.initialized], [3, true]);
  await clock.advance(200_000);
  assert.equal(up(), 0, 'nobody led traffic to it');
});

test('initial scale zero: ready without an instance, started by its first request', async () => {
  const { clock, source, scaler, begin, up } = setUp({
    ready: 'none',
    annotations: { 'initial-scale': '0' },
  });
  await begin();
  await clock.advance(5000);
  assert.equal(source.starts.size, 0);
  const { initialized, active } = scaler.scale(KEY)!;
  assert.deepEqual({ initialized, active }, { initialized: true, active: 'False' });
  assert.equal(clock.pending(), 0);
  scaler.demand(KEY, 1, 0);
  await clock.advance(0);
  assert.equal(up(), 1);
});

test('a revision that a route reaches just after it was proven still goes to zero', async () => {
  const { clock, scaler, revision, up } = setUp({ ready: 'none' });
  await scaler.upsert(revision, false, true);
  await clock.advance(10);
  assert.equal(up(), 1);
  await scaler.upsert(revision, true, false);
  await clock.advance(90_000);
  assert.equal(up(), 0);
});

test('a load error is told to everyone who waits, and the revision does not spin', async () => {
  const { clock, source, scaler, gateway, begin } = setUp();
  await begin();
  source.failure = () =>
    new InstanceError({ status: 500, component: 'function', reason: 'LoadError', message: 'x.ts:1' });
  for (let second = 0; second < 60; second++) {
    scaler.demand(KEY, 1, 0);
    await clock.advance(1000);
  }
  assert.equal(gateway.failures.length, 60);
  assert.equal(gateway.failures.at(-1)?.failure.message, 'x.ts:1');
  const starts = source.starts.get(KEY) ?? 0;
  assert.ok(starts >= 3 && starts <= 8, `${starts} starts in a minute`);
  await clock.advance(600_000);
  assert.equal(source.starts.get(KEY), starts, 'nobody asks, nobody tries');
  assert.equal(clock.pending(), 0);
});

test('a failure that passes is tried again while the request waits', async () => {
  const { clock, source, scaler, gateway, begin, up } = setUp();
  await begin();
  let left = 2;
  source.failure = () => (left-- > 0 ? new PetrelError('NotReady', 'no room') : undefined);
  scaler.demand(KEY, 1, 0);
  await clock.advance(1000);
  assert.equal(up(), 1);
  assert.deepEqual(gateway.failures, []);
});

test('a failure that does not pass is told in the end', async () => {
  const { clock, source, scaler, gateway, begin } = setUp();
  await begin();
  source.failure = () => new PetrelError('NotReady', 'no room', { why: 'the node is full' });
  scaler.demand(KEY, 1, 0);
  await clock.advance(5000);
  assert.equal(gateway.failures[0]?.failure.message, 'no room: the node is full');
  assert.equal(gateway.failures[0]?.failure.status, 503);
});

test('a start that never ends is given up at the progress deadline', async () => {
  const { clock, source, scaler, begin, revision } = setUp({ ready: 'none' });
  revision.metadata.annotations = { 'serving.knative.dev/progress-deadline': '30s' };
  source.acquire = () => new Promise(() => {});
  await begin();
  await clock.advance(29_000);
  assert.equal(scaler.scale(KEY)?.permanent, false);
  await clock.advance(40_000);
  assert.deepEqual(
    [scaler.scale(KEY)?.permanent, scaler.scale(KEY)?.timedOut, scaler.scale(KEY)?.failure?.reason],
    [true, true, 'Timeout'],
  );
});

test('a crashed instance leaves the gateway at once; a request gets a new one, the old one back would be too many', async () => {
  const { clock, source, scaler, gateway, begin, up } = setUp();
  await begin();
  scaler.demand(KEY, 1, 0);
  await clock.advance(20_000);
  source.crash(KEY, 'i1');
  assert.equal(up(), 0);
  scaler.demand(KEY, 1, 0);
  await clock.advance(0);
  assert.deepEqual(gateway.ids(KEY), ['i2']);
  source.revive(KEY, 'i1');
  await clock.advance(0);
  assert.equal(up(), 1);
});

test('without anyone waiting a crashed instance may come back by itself, or is replaced after a while', async () => {
  const { clock, source, gateway, begin, up, load, scaler } = setUp();
  await begin();
  scaler.demand(KEY, 1, 0);
  await load(20, 1);
  source.crash(KEY, 'i1');
  await clock.advance(500);
  source.revive(KEY, 'i1');
  assert.deepEqual(gateway.ids(KEY), ['i1']);
  await load(20, 1);
  source.crash(KEY, 'i1');
  await clock.advance(3000);
  assert.equal(up(), 0);
  await clock.advance(3000);
  assert.deepEqual(gateway.ids(KEY), ['i2']);
  assert.deepEqual(source.released, ['i1']);
});

test('an instance that is not ready keeps its place for a while though requests wait; one that dies does not', async () => {
  const { clock, source, scaler, gateway, begin, up, load } = setUp();
  await begin();
  scaler.demand(KEY, 1, 0);
  await load(20, 1);
  source.unready(KEY, 'i1');
  scaler.demand(KEY, 1, 0);
  await clock.advance(9000);
  assert.equal(up(), 0);
  source.revive(KEY, 'i1');
  assert.deepEqual(gateway.ids(KEY), ['i1']);
  source.unready(KEY, 'i1');
  for (let second = 0; second < 11; second++) {
    scaler.demand(KEY, 1, 0);
    await clock.advance(1000);
  }
  assert.deepEqual(gateway.ids(KEY), ['i2']);
  source.unready(KEY, 'i2');
  scaler.demand(KEY, 1, 0);
  source.crash(KEY, 'i2');
  await clock.advance(0);
  assert.deepEqual(gateway.ids(KEY), ['i3']);
});

test('a revision that crashes on every request backs off', async () => {
  const { clock, source, scaler, gateway, begin } = setUp();
  await begin();
  for (let index = 0; index < 300; index++) {
    scaler.demand(KEY, 1, 0);
    await clock.advance(50);
    for (const id of gateway.ids(KEY)) source.crash(KEY, id);
    await clock.advance(50);
  }
  const starts = source.starts.get(KEY) ?? 0;
  assert.ok(starts >= 5 && starts <= 20, `${starts} starts in 30 s`);
  assert.ok(gateway.failures.some(({ failure }) => failure.reason === 'CrashLoop'));
});

test('setting the machine’s clock moves no back-off and no scale-down', async () => {
  for (const jump of [-3_600_000, 3_600_000]) {
    const { clock, source, scaler, gateway, report, begin, up } = setUp();
    await begin();
    scaler.demand(KEY, 1, 0);
    await clock.advance(0);
    assert.equal(up(), 1);
    report(1, { inFlight: 1 });
    clock.jump(jump);
    for (let second = 0; second < 5; second++) {
      await clock.advance(1000);
      report(1, { inFlight: 1 });
    }
    assert.equal(up(), 1, 'in use');
    for (let crash = 0; crash < 3; crash++) {
      for (const id of gateway.ids(KEY)) source.crash(KEY, id);
      scaler.demand(KEY, 1, 0);
      clock.jump(jump);
      await clock.advance(2000);
    }
    assert.equal(up(), 1, 'started again after the crashes');
    report(0, { inFlight: 0 });
    await clock.advance(30_000);
    assert.equal(up(), 1, 'within the window');
    await clock.advance(90_000);
    assert.equal(up(), 0, 'idle for longer than the window');
  }
});

test('an instance that the gateway lost is tried again, and given up when that does not help', async () => {
  const { clock, source, scaler, gateway, report, begin, up } = setUp();
  await begin();
  scaler.demand(KEY, 1, 0);
  await clock.advance(0);
  report(0.1, { inFlight: 0 });
  scaler.endpointDown(KEY, 'i1', 'connection reset');
  assert.equal(up(), 0);
  await clock.advance(100);
  assert.deepEqual(gateway.ids(KEY), ['i1']);
  for (let strike = 0; strike < 4; strike++) {
    scaler.endpointDown(KEY, 'i1', 'connection reset');
    await clock.advance(2000);
  }
  assert.deepEqual(source.released, ['i1']);
});

test('an instance that does not answer is not tried again before it has been asked, and another starts for who waits', async () => {
  const { clock, source, scaler, gateway, report, begin } = setUp();
  const asked: PromiseWithResolvers<void>[] = [];
  source.suspect = () => {
    const question = Promise.withResolvers<void>();
    asked.push(question);
    return question.promise;
  };
  await begin();
  scaler.demand(KEY, 1, 0);
  await clock.advance(0);
  report(0.1, { inFlight: 0 });
  scaler.endpointDown(KEY, 'i1', 'does not answer');
  await clock.advance(500);
  assert.deepEqual(gateway.ids(KEY), []);
  asked[0]?.resolve();
  await clock.advance(1);
  assert.deepEqual(gateway.ids(KEY), ['i1'], 'it was asked, and nobody said that it is gone');
  scaler.endpointDown(KEY, 'i1', 'does not answer');
  scaler.demand(KEY, 1, 0);
  await clock.advance(1500);
  assert.deepEqual(gateway.ids(KEY), ['i2']);
});

test('after a restart several instances are kept for a window, whatever the first seconds look like', async () => {
  const { clock, source, scaler, revision, up } = setUp();
  source.alive.set(KEY, ['i1', 'i2', 'i3', 'i4']);
  await scaler.upsert(revision, true, false);
  assert.equal(up(), 4);
  assert.equal(source.starts.size, 0);
  await clock.advance(50_000);
  assert.equal(up(), 4);
  await clock.advance(120_000);
  assert.equal(up(), 0);
});

test('requests that arrive while instances are taken over wait for those instead of new ones', async () => {
  const { clock, source, scaler, revision, up } = setUp();
  source.alive.set(KEY, ['i1']);
  const gate = Promise.withResolvers<void>();
  const adopt = source.adopt.bind(source);
  source.adopt = async (wanted) => {
    await gate.promise;
    return adopt(wanted);
  };
  const taken = scaler.upsert(revision, true, false);
  scaler.demand(KEY, 1, 0);
  await clock.advance(10);
  assert.equal(source.starts.size, 0);
  gate.resolve();
  await taken;
  assert.equal(up(), 1);
  assert.equal(source.starts.size, 0);
});

test('removing a revision answers who waits, aborts what starts, and drains what runs', async () => {
  const { clock, source, scaler, gateway, begin } = setUp();
  await begin();
  scaler.demand(KEY, 1, 0);
  await clock.advance(0);
  source.startMs = 1000;
  source.crash(KEY, 'i1');
  scaler.demand(KEY, 1, 0);
  await scaler.remove(KEY);
  assert.equal(gateway.failures.at(-1)?.failure.reason, 'RevisionDeleted');
  await clock.advance(2000);
  assert.deepEqual(source.released, ['i1']);
  assert.deepEqual(gateway.ids(KEY), []);
  assert.equal(gateway.revisions.size, 0);
});

test('requests per second scale by their own target', async () => {
  const { clock, scaler, report, up, begin } = setUp({ annotations: { metric: 'rps', target: '100' } });
  await begin();
  scaler.demand(KEY, 1, 0);
  for (let second = 0; second < 70; second++) {
    await clock.advance(1000);
    report(1, { requestCount: 350 });
  }
  await clock.advance(0);
  // 350 over 100 · 0.7.
  assert.equal(up(), 5);
});

test('activation scale: waking up means that many', async () => {
  const { scaler, load, up, begin } = setUp({ annotations: { 'activation-scale': '3' } });
  await begin();
  scaler.demand(KEY, 1, 0);
  await load(2, 1);
  assert.equal(up(), 3);
});

test('a surge is panic at once, not only at the next report; one that was none leaves no trace', async () => {
  const { source, scaler, clock, gateway, up, load, begin } = setUp({ annotations: { target: '10' } });
  await begin();
  scaler.demand(KEY, 1, 0);
  await load(30, 1);
  assert.equal(gateway.revisions.get(KEY)?.surge, 8, 'above 10 · 0.7 the gateway tells at once');
  await clock.advance(200);
  scaler.demand(KEY, 0, 400);
  // 400 in a panic window of six seconds, over 7.
  assert.equal(source.starts.get(KEY), 10);
  await clock.advance(0);
  assert.equal(up(), 10);
  assert.equal(gateway.revisions.get(KEY)?.surge, 71);
  await load(1, 1);
  assert.equal(up(), 5, 'the report of that second tells of no load: down, at most by half');
  await load(4, 1);
  assert.equal(up(), 1);
});

test('live edits of a revision or its Service hold at once, and nothing measured is lost', async () => {
  const { scaler, revision, clock, up, load, begin } = setUp({ concurrency: 10 });
  revision.metadata.labels = { 'serving.knative.dev/service': 's' };
  await begin();
  scaler.demand(KEY, 1, 0);
  await load(70, 14);
  assert.equal(up(), 2);
  scaler.setService('default/s', { 'autoscaling.petrel.dev/target': '7' });
  await clock.advance(0);
  assert.equal(up(), 3, '14 over 7 · 0.7, from the load that was measured before');
  scaler.setService('default/s', {});
  await clock.advance(0);
  assert.equal(up(), 2);
  const annotations = { 'autoscaling.knative.dev/min-scale': '3' };
  const edited = { ...revision, metadata: { ...revision.metadata, annotations } };
  await scaler.upsert(edited, true, false);
  await clock.advance(0);
  assert.equal(up(), 3);
  scaler.configure({ ...DEFAULT_AUTOSCALER_CONFIG, containerConcurrencyTargetFraction: 0.35 });
  await load(1, 14);
  await clock.advance(0);
  assert.equal(up(), 4, '14 over 10 · 0.35');
});

test('the bounds of a Service are shared out by traffic, and follow it', async () => {
  const { scaler, revision, clock, gateway, begin } = setUp();
  const other = { ...revision, metadata: { ...revision.metadata, name: 'q', uid: 'u2' } };
  for (const one of [revision, other]) one.metadata.labels = { 'serving.knative.dev/service': 's' };
  const ups = () => [gateway.ids(KEY).length, gateway.ids('default/q').length];
  scaler.setService('default/s', {
    'autoscaling.petrel.dev/min-scale': '4',
    'autoscaling.petrel.dev/max-scale': '5',
  });
  scaler.setTraffic(
    'default/s',
    new Map([
      [KEY, 75],
      ['default/q', 25],
    ]),
  );
  await begin();
  await scaler.upsert(other, true, true);
  await clock.advance(1000);
  assert.deepEqual(ups(), [3, 1]);
  scaler.setTraffic('default/s', new Map([['default/q', 100]]));
  await clock.advance(0);
  assert.equal(ups()[1], 4);
  await clock.advance(200_000);
  assert.deepEqual(ups(), [0, 4]);
  scaler.setService('default/s', null);
  await clock.advance(200_000);
  assert.deepEqual(ups(), [0, 0]);
  assert.equal(clock.pending(), 0);
});

test('a scheduled window holds other bounds while it lasts, with one timer and no ticking', async () => {
  const start = new Date(Date.UTC(2023, 10, 14, 22, 13, 20)).getTime();
  const { scaler, clock, revision, up } = setUp();
  assert.equal(clock.now(), start);
  const schedule = [{ schedule: '0 23 * * *', duration: '1h', minScale: 2 }];
  revision.metadata.annotations = { 'autoscaling.petrel.dev/schedule': JSON.stringify(schedule) };
  await scaler.upsert(revision, true, true);
  assert.equal(up(), 0);
  assert.equal(clock.pending(), 1);
  await clock.advance(3_000_000);
  assert.equal(up(), 2);
  assert.equal(clock.pending(), 1);
  await clock.advance(3_600_000 + 200_000);
  assert.equal(up(), 0);
  assert.equal(clock.pending(), 1);
  await scaler.remove(KEY);
  assert.equal(clock.pending(), 0);
});

test('hybrid: a service with a rhythm goes cold between requests and is warm before the next', async () => {
  const { scaler, clock, source, revision, up, report } = setUp();
  revision.metadata.annotations = {
    'autoscaling.knative.dev/class': 'hybrid.autoscaling.petrel.dev',
    'autoscaling.petrel.dev/keep-alive': '5m',
  };
  await scaler.upsert(revision, true, true);
  const request = async () => {
    if (up() === 0) scaler.demand(KEY, 1, 0);
    await clock.advance(500);
    report(0.1, { inFlight: 0 });
    await clock.advance(0);
  };
  await request();
  await clock.advance(290_000);
  assert.equal(up(), 1, 'the standard keep-alive');
  await clock.advance(20_000);
  assert.equal(up(), 0);
  await clock.advance(1_800_000 - 310_500);
  for (let round = 0; round < 6; round++) {
    await request();
    await clock.advance(1_799_500);
  }
  // Every 30 minutes, known by now: cold for nine tenths of 29 minutes.
  await request();
  assert.equal(up(), 0, 'let go at once');
  await clock.advance(1_500_000);
  assert.equal(up(), 0);
  await clock.advance(100_000);
  assert.equal(up(), 1, 'warm before it is asked for');
  const starts = source.starts.get(KEY);
  await clock.advance(199_500);
  await request();
  assert.equal(source.starts.get(KEY), starts, 'no cold start');
  await clock.advance(4_000_000);
  assert.equal(up(), 0, 'and not for ever');
  assert.equal(clock.pending(), 0);
});

test('an instance that the old revision no longer needs becomes one of the new revision', async () => {
  const { scaler, revision, clock, source, gateway, begin } = setUp({ concurrency: 1 });
  revision.metadata.labels = { 'serving.knative.dev/service': 's' };
  const next = { ...revision, metadata: { ...revision.metadata, name: 'q', uid: 'u2' } };
  const converted: string[] = [];
  let broken = false;
  source.convertible = () => true;
  source.convert = async (_from, id, to) => {
    if (broken) throw new Error('it broke');
    converted.push(id);
    return {
      id,
      namespace: 'default',
      podName: id,
      address: { kind: 'mux', path: `/run/${to.metadata.name}` },
    };
  };
  await begin();
  scaler.demand(KEY, 4, 0);
  await clock.advance(0);
  assert.equal(gateway.ids(KEY).length, 4);
  next.status = { observedGeneration: 1, conditions: [] };
  await scaler.upsert(next, false, true);
  await clock.advance(0);
  assert.equal(gateway.ids('default/q').length, 1);
  scaler.demand(KEY, 1, 4);
  await clock.advance(0);
  assert.deepEqual(converted, [], 'what the new one was proven with waits for its traffic');
  scaler.demand(KEY, 0, 1);
  await scaler.upsert(next, true, false);
  scaler.demand('default/q', 1, 0);
  await clock.advance(0);
  assert.deepEqual(converted, [], 'routes still lead to the old one');
  await scaler.upsert(revision, false, false);
  scaler.demand('default/q', 2, 1);
  await clock.advance(0);
  assert.deepEqual([converted.length, gateway.ids('default/q').length], [2, 3]);
  assert.ok(gateway.ids(KEY).length >= 1, 'what its request is on stays');
  assert.deepEqual(source.released, []);
  broken = true;
  const starts = source.starts.get('default/q') ?? 0;
  scaler.demand('default/q', 1, 3);
  await clock.advance(0);
  assert.equal(gateway.ids('default/q').length, 4);
  assert.equal(
    source.starts.get('default/q'),
    starts + 1,
    'a conversion that fails is a start like any other',
  );
});

test('a lag wakes a revision from zero, sets how many there are, and lets them go when it is gone', async () => {
  const lag = createPushedMetrics('queue-lag');
  const { scaler, clock, revision, up } = setUp({ metrics: [lag] });
  revision.metadata.annotations = {
    'autoscaling.petrel.dev/metric-source': 'queue-lag',
    'autoscaling.petrel.dev/metric-target': '10',
  };
  await scaler.upsert(revision, true, true);
  await clock.advance(5000);
  assert.equal(up(), 0);
  assert.equal(clock.pending(), 0);
  lag.publish(KEY, 25);
  await clock.advance(0);
  assert.equal(up(), 3, '25 over 10, at once');
  await clock.advance(120_000);
  assert.equal(up(), 3, 'for as long as it is so');
  lag.publish(KEY, 0);
  await clock.advance(180_000);
  assert.equal(up(), 0);
  assert.equal(clock.pending(), 0);
});

test('the HPA class scales by its metric, never to zero while routes lead here', async () => {
  const load = createPushedMetrics('load');
  const { scaler, clock, revision, up } = setUp({ metrics: [load] });
  revision.metadata.annotations = {
    'autoscaling.knative.dev/class': 'hpa.autoscaling.knative.dev',
    'autoscaling.knative.dev/metric': 'load',
    'autoscaling.knative.dev/target': '10',
    'autoscaling.petrel.dev/metric-source': 'load',
  };
  await scaler.upsert(revision, true, true);
  await clock.advance(0);
  assert.equal(up(), 1);
  load.publish(KEY, 30);
  await clock.advance(0);
  assert.equal(up(), 3);
  await clock.advance(60_000);
  load.publish(KEY, 0);
  await clock.advance(0);
  assert.equal(up(), 3, 'what was asked for within five minutes');
  await clock.advance(300_000);
  load.publish(KEY, 0);
  await clock.advance(0);
  assert.equal(up(), 1);
  await clock.advance(600_000);
  assert.equal(up(), 1);
  await scaler.upsert(revision, false, false);
  await clock.advance(200_000);
  assert.equal(up(), 0);
});

test('what cannot be understood is told once, and counts as absent', async () => {
  const { scaler, clock, revision, problems, up } = setUp();
  revision.metadata.labels = { 'serving.knative.dev/service': 's' };
  revision.metadata.annotations = {
    'autoscaling.petrel.dev/schedule': '[{"schedule":"* *","duration":"1h","minScale":1}]',
  };
  await scaler.upsert(revision, true, true);
  await scaler.upsert(revision, true, false);
  await clock.advance(1000);
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? '', /schedule\[0\]: .*2 fields instead of 5/);
  scaler.setService('default/s', {
    'autoscaling.petrel.dev/schedule': '{}',
    'autoscaling.petrel.dev/min-scale': '1',
    'autoscaling.petrel.dev/metric-source': 'nowhere',
    'autoscaling.petrel.dev/metric-target': '1',
  });
  scaler.setTraffic('default/s', new Map([[KEY, 100]]));
  await clock.advance(1000);
  assert.match(problems[1] ?? '', /must be a list/);
  assert.match(problems.slice(2).join(), /no source of metrics "nowhere"/);
  assert.equal(up(), 1);
});

test('an instance that has had the one request of its life is released and replaced, without waiting for a report', async () => {
  const { source, scaler, gateway, revision, clock, up, begin } = setUp({ concurrency: 1 });
  revision.metadata.annotations = { ...revision.metadata.annotations, 'petrel.dev/once-only': 'true' };
  await begin();
  assert.equal(gateway.revisions.get(KEY)?.onceOnly, true);
  scaler.demand(KEY, 1, 0);
  await clock.advance(10);
  for (let i = 1; i <= 40; i++) {
    const [id] = gateway.ids(KEY);
    assert.equal(id, `i${i}`);
    scaler.endpointDown(KEY, id!, 'used');
    await clock.advance(0);
    assert.equal(source.released.at(-1), id);
    assert.equal(up(), 1, 'the next one stands ready');
  }
  scaler.endpointDown(KEY, 'i1', 'used');
  await clock.advance(0);
  assert.equal(up(), 1);
});
