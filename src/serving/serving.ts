/** Knative Serving v1 on top of a client, a gateway and whoever can make instances. */
import { type Clock, systemClock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { EndpointAddress, Gateway, GatewayEvents } from '../gateway/contract.ts';
import { conditionOf } from '../kinds/conditions.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { KubeClient } from '../kube/client.ts';
import { createController } from '../kube/controller.ts';
import { createEventRecorder, type EventRecorder } from '../kube/events.ts';
import { keyOf, objectKey, splitKey } from '../kube/indexed-store.ts';
import { createStatusWriter } from '../kube/status-writer.ts';
import { createLiveAccess } from './access/access.ts';
import { type AutoscalerConfig, DEFAULT_AUTOSCALER_CONFIG } from './autoscaler/config.ts';
import type { MetricSource } from './autoscaler/metrics.ts';
import { createPrometheusSource } from './autoscaler/prometheus.ts';
import { createUsageSource, nodeUsage, type UsageReader } from './autoscaler/usage.ts';
import { type Background, createBackground } from './background.ts';
import { type Canary, createCanary } from './canary/controller.ts';
import { createLiveConfig } from './config.ts';
import { createConfigurationReconciler } from './configurations.ts';
import { createCaches, type ServingContext } from './context.ts';
import type { InstanceSource } from './contract.ts';
import { createDomainMappings } from './domain-mappings.ts';
import { createDomains } from './domains.ts';
import { createCollector } from './gc.ts';
import { createLabeler } from './labeler.ts';
import { createMirror, rememberedRollout } from './mirror/mirror.ts';
import { LABELS } from './names.ts';
import { createPinnedImages } from './pinned-images.ts';
import { createPlaceholders } from './placeholders.ts';
import { createPlainPods } from './plain-pods.ts';
import { createPolicies } from './policies.ts';
import { withTerms } from './revision-terms.ts';
import { createRevisionReconciler } from './revisions.ts';
import { createRollouts } from './rollouts.ts';
import { createRouteTable } from './route-table.ts';
import { createRouteReconciler } from './routes.ts';
import { createScaler, type Scaler } from './scaler/scaler.ts';
import { createServiceReconciler } from './services.ts';
import { AUTOSCALER, DEPLOYMENT } from './settings.ts';
import { splitOf } from './traffic.ts';
import { wake } from './triggers.ts';

export interface ServingOptions {
  client: KubeClient;
  /** Asked in this order; plain Pods take what none of them handles. */
  sources: InstanceSource[];
  /** Suffix of host names. Default `localhost`. */
  domain?: string;
  log: Logger;
  clock?: Clock;
  random?: () => number;
  autoscaler?: Partial<AutoscalerConfig>;
  /** Bytes; default 0: unlimited. */
  maxRequestBytes?: number;
  /** What instances use, for scaling by CPU and memory. Default: what the agents of the nodes say. */
  usage?: UsageReader;
  /** Further sources of metrics to scale by, such as the lag of a queue. */
  metrics?: MetricSource[];
  /** Takes requests to functions that are to be carried out later. Absent: they are carried out at once. */
  async?: EndpointAddress;
  /** Requests of one revision that may wait for an instance. Default 10,000, as upstream's activator. */
  queueDepth?: number;
}

/**
 * The gateway needs `events` before it exists, and serving needs the gateway: so `events` may be handed out at once, and
 * whatever arrives before `start` is dropped (a gateway without routes has nothing to report).
 */
export interface Serving {
  readonly events: GatewayEvents;
  /** Resolves when the caches are complete and every existing route is known to the gateway. URLs carry the gateway's port. */
  start(gateway: Gateway): Promise<void>;
  /** Stops deciding; instances are left as they are. */
  stop(): Promise<void>;
}

/** Milliseconds after which replicas and activity are written: never in competition with the request that caused them. */
const STATUS_DELAY_MS = 500;

export function createServing(options: ServingOptions): Serving {
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const log = options.log.with({ component: 'serving' });
  const { client } = options;
  let scaler: Scaler | undefined;
  let canary: Canary | undefined;
  let keyMissing = (_routeKey: string) => {};
  let stop = async () => {};

  const start = async (gateway: Gateway) => {
    const caches = createCaches({ client, log, clock });
    const config = createLiveConfig({ client, log, clock });
    const background = createBackground({ clock, log });
    const recorder = createEventRecorder({ client, component: 'serving', log, now: () => clock.now() });
    const context: ServingContext = {
      client,
      caches,
      clock,
      log,
      events: patientEvents(recorder, background),
      writeStatus: createStatusWriter(client, clock),
    };
    const images = createPinnedImages(LABELS, (key) => revisions.enqueue(key));
    const plainPods = createPlainPods({ client, log, clock, random, images });
    const fresh = new Set<string>();

    const warnOfService = (key: string, reason: string, problem: string) => {
      const { namespace, name } = splitKey(key);
      const service = caches.services.get(namespace, name);
      if (service) context.events.record(service, 'Warning', reason, problem);
    };
    const controller = (name: string, reconcile: (key: string) => Promise<number | undefined>) =>
      createController({ name, reconcile, log, clock, random, concurrency: 8 });
    const placeholders = createPlaceholders({
      client,
      services: caches.coreServices,
      events: context.events,
    });
    const table = createRouteTable({
      gateway,
      routeExists: (namespace, name) => caches.routes.get(namespace, name) !== undefined,
      onReachability: (key) => revisions.enqueue(key),
    });
    const terms = withTerms(gateway);
    const access = createLiveAccess({
      client,
      services: caches.services,
      clock,
      log,
      onChange: (routeKey) => routes.enqueue(routeKey),
      onProblem: (key, problem) => warnOfService(key, 'AccessNotReady', problem),
    });
    keyMissing = access.keyMissing;
    const policies = createPolicies({
      context,
      terms,
      sticky: access.sticky,
      onOutcome: (key) => policing.enqueue(key),
    });
    const rollouts = createRollouts({
      config,
      clock,
      configurationOf: (namespace, revision) =>
        caches.revisions.get(namespace, revision)?.metadata.labels?.[LABELS.configuration],
    });
    const { host } = gateway.address;
    const mirror = createMirror({ client, config, background, host, revisions: caches.revisions });
    const mappings = createDomainMappings({
      context,
      config,
      port: gateway.address.port,
      answers: table.answers,
    });
    const routing = createRouteReconciler({
      context,
      config,
      table,
      placeholders,
      domains: createDomains({
        config,
        fallback: options.domain ?? 'localhost',
        port: gateway.address.port,
        isLocal: placeholders.isLocal,
      }),
      rollouts,
      policies,
      access,
      async: options.async,
      mappedHosts: mappings.hostsOf,
      onAssigned(assigned) {
        const { route, targets, rollout } = assigned;
        mirror.assigned(assigned);
        for (const one of caches.domainMappings.byIndex('route', keyOf(route))) mapping.enqueue(keyOf(one));
        const namespace = route.metadata.namespace ?? '';
        const split = splitOf(targets, rollout);
        const percents = new Map([...split].map(([name, percent]) => [objectKey(namespace, name), percent]));
        running.setTraffic(keyOf(route), percents);
      },
      onGone: mirror.routeGone,
    });
    const scaling = (): AutoscalerConfig => ({
      ...DEFAULT_AUTOSCALER_CONFIG,
      ...config.read(AUTOSCALER),
      progressDeadlineMs: config.read(DEPLOYMENT).progressDeadlineMs,
      ...options.autoscaler,
    });
    const running = createScaler({
      gateway: terms.gateway,
      sources: [...options.sources, plainPods.source],
      clock,
      random,
      log,
      config: scaling(),
      metrics: [
        createPrometheusSource({ clock, log }),
        createUsageSource({ clock, read: options.usage ?? nodeUsage(client) }),
        ...(options.metrics ?? []),
      ],
      maxRequestBytes: options.maxRequestBytes ?? 0,
      queueDepth: options.queueDepth ?? 10_000,
      onChange: (key, urgent) =>
        urgent ? revisions.enqueue(key) : revisions.enqueueAfter(key, STATUS_DELAY_MS),
      onLoss: (revision, reason) => context.events.record(revision, 'Warning', 'InstanceLost', reason),
      onProblem: (revision, problem) => context.events.record(revision, 'Warning', 'InvalidScaling', problem),
      onServiceProblem: (key, problem) => warnOfService(key, 'InvalidScaling', problem),
    });
    const services = controller('services', createServiceReconciler(context));
    const configurations = controller('configurations', createConfigurationReconciler(context));
    const routes = controller('routes', routing.reconcile);
    const revisions = controller(
      'revisions',
      createRevisionReconciler({
        context,
        scaler: running,
        images,
        reachable: table.reachable,
        isFresh: (key) => fresh.delete(key),
      }),
    );
    const labels = controller('labeler', createLabeler(context));
    const policing = controller('policies', policies.reconcile);
    const canaries = createCanary({ client, ...caches, events: context.events, clock, random, log });
    const mapping = controller('domain-mappings', mappings.reconcile);
    const collector = controller('collector', createCollector(context, config, table.reachable));
    const controllers = [
      services,
      configurations,
      routes,
      revisions,
      labels,
      policing,
      canaries,
      collector,
      mapping,
    ];
    const informers = Object.values(caches);

    wake({
      caches,
      config,
      background,
      fresh,
      queues: {
        services,
        configurations,
        routes,
        revisions,
        labels,
        policies: policing,
        mappings: mapping,
        collector,
      },
    });
    for (const { name } of [AUTOSCALER, DEPLOYMENT]) {
      config.onChange(name, () => running.configure(scaling()));
    }
    const scaleAs = ({ metadata }: KubeObject, gone = false) =>
      running.setService(
        objectKey(metadata.namespace, metadata.name),
        gone ? null : (metadata.annotations ?? {}),
      );
    caches.services.addHandler({
      add: (service) => scaleAs(service),
      update: (service) => scaleAs(service),
      delete: (service) => scaleAs(service, true),
    });
    caches.routes.addHandler({ delete: (route) => running.setTraffic(keyOf(route), null) });

    stop = async () => {
      config.stop();
      for (const informer of informers) informer.stop();
      plainPods.stop();
      access.stop();
      running.stop();
      await Promise.all(controllers.map((one) => one.stop()));
      await background.stop();
      await recorder.flush();
    };
    for (const informer of informers) informer.start();
    await Promise.all([config.start(), ...informers.map((informer) => informer.synced), plainPods.start()]);
    scaler = running;
    canary = canaries;
    await access.prepare();
    // Everything that exists is made known to the gateway before any controller begins to write.
    for (const revision of caches.revisions.list()) {
      running
        .upsert(revision, false, false)
        .catch((error) => log.warn('a revision was not taken up', { error: String(error) }));
    }
    for (const route of caches.routes.list()) {
      if (conditionOf(route, 'IngressReady')?.reason === 'RolloutInProgress') {
        const { namespace, name } = route.metadata;
        const remembered = await rememberedRollout(client, namespace, name);
        if (remembered) rollouts.restore(keyOf(route), remembered);
      }
      routing.publish(keyOf(route));
    }
    for (const one of controllers) one.start();
  };

  return {
    events: {
      demand: (key, queued, inFlight) => scaler?.demand(key, queued, inFlight),
      stats(stats, intervalMs) {
        scaler?.stats(stats, intervalMs);
        canary?.stats(stats);
      },
      endpointDown: (key, id, reason) => scaler?.endpointDown(key, id, reason),
      keyMissing: (namespace, name) => keyMissing(objectKey(namespace, name)),
    },
    start,
    stop: () => stop(),
  };
}

/** What goes as expected can be told later. */
function patientEvents(recorder: EventRecorder, background: Background): EventRecorder {
  let sequence = 0;
  return {
    record(object, type, reason, message) {
      if (type === 'Warning') recorder.record(object, type, reason, message);
      else {
        background.add(`event ${sequence++}`, () => {
          recorder.record(object, type, reason, message);
          return recorder.flush();
        });
      }
    },
    flush: recorder.flush,
  };
}
