/** Knative Serving v1 on top of a client, a gateway and whoever can make instances. */
import { type Clock, systemClock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Gateway, GatewayEvents } from '../gateway/contract.ts';
import type { Revision } from '../kinds/serving.ts';
import type { KubeClient } from '../kube/client.ts';
import { createController } from '../kube/controller.ts';
import { createEventRecorder } from '../kube/events.ts';
import { keyOf, objectKey } from '../kube/indexed-store.ts';
import { type AutoscalerConfig, DEFAULT_AUTOSCALER_CONFIG } from './autoscaler/config.ts';
import { createConfigurationReconciler } from './configurations.ts';
import { createCaches, createStatusWriter, type ServingContext } from './context.ts';
import type { InstanceSource } from './contract.ts';
import { LABELS } from './names.ts';
import { createPlainPods } from './plain-pods.ts';
import { createRevisionReconciler } from './revisions.ts';
import { createRouteReconciler } from './routes.ts';
import { createScaler, type Scaler } from './scaler/scaler.ts';
import { createServiceReconciler } from './services.ts';

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
  let stop = async () => {};

  const start = async (gateway: Gateway) => {
    const caches = createCaches({ client, log, clock });
    const context: ServingContext = {
      client,
      caches,
      clock,
      log,
      events: createEventRecorder({ client, component: 'serving', log, now: () => clock.now() }),
      writeStatus: createStatusWriter(client, clock),
    };
    const plainPods = createPlainPods({ client, log, clock, random });
    const fresh = new Set<string>();

    const controller = (name: string, reconcile: (key: string) => Promise<number | undefined>) =>
      createController({ name, reconcile, log, clock, random, concurrency: 8 });
    const routing = createRouteReconciler({
      context,
      gateway,
      domain: { name: options.domain ?? 'localhost', port: gateway.address.port },
      onReachability: (key) => revisions.enqueue(key),
    });
    const running = createScaler({
      gateway,
      sources: [...options.sources, plainPods.source],
      clock,
      random,
      log,
      config: { ...DEFAULT_AUTOSCALER_CONFIG, ...options.autoscaler },
      maxRequestBytes: options.maxRequestBytes ?? 0,
      queueDepth: options.queueDepth ?? 10_000,
      onChange: (key, urgent) =>
        urgent ? revisions.enqueue(key) : revisions.enqueueAfter(key, STATUS_DELAY_MS),
      onLoss: (revision, reason) => context.events.record(revision, 'Warning', 'InstanceLost', reason),
    });
    const services = controller('services', createServiceReconciler(context));
    const configurations = controller('configurations', createConfigurationReconciler(context));
    const routes = controller('routes', routing.reconcile);
    const revisions = controller(
      'revisions',
      createRevisionReconciler({
        context,
        scaler: running,
        reachable: routing.reachable,
        isFresh: (key) => fresh.delete(key),
      }),
    );
    const controllers = [services, configurations, routes, revisions];
    const informers = [caches.services, caches.configurations, caches.routes, caches.revisions];

    const routesTo = (index: 'toConfiguration' | 'toRevision', key: string) => {
      for (const route of caches.routes.byIndex(index, key)) routes.enqueue(keyOf(route));
    };
    const onService = (object: { metadata: { namespace?: string; name: string } }) =>
      services.enqueue(objectKey(object.metadata.namespace, object.metadata.name));
    caches.services.addHandler({ add: onService, update: onService, delete: onService });
    // A Configuration or Route is of interest to the Service of its name, whether that owns it or finds it in its way.
    const onConfiguration = (object: Parameters<typeof keyOf>[0]) => {
      configurations.enqueue(keyOf(object));
      onService(object);
      routesTo('toConfiguration', keyOf(object));
    };
    caches.configurations.addHandler({
      add: onConfiguration,
      update: onConfiguration,
      delete: onConfiguration,
    });
    const onRoute = (object: Parameters<typeof keyOf>[0]) => {
      routes.enqueue(keyOf(object));
      onService(object);
    };
    caches.routes.addHandler({ add: onRoute, update: onRoute, delete: onRoute });
    const onRevision = (revision: Revision) => {
      const key = keyOf(revision);
      revisions.enqueue(key);
      const configuration = revision.metadata.labels?.[LABELS.configuration];
      if (configuration) {
        const configurationKey = objectKey(revision.metadata.namespace, configuration);
        configurations.enqueue(configurationKey);
        routesTo('toConfiguration', configurationKey);
      }
      routesTo('toRevision', key);
    };
    caches.revisions.addHandler({
      add(revision) {
        if (caches.revisions.hasSynced) fresh.add(keyOf(revision));
        onRevision(revision);
      },
      update: onRevision,
      delete(revision) {
        fresh.delete(keyOf(revision));
        onRevision(revision);
      },
    });

    stop = async () => {
      for (const informer of informers) informer.stop();
      plainPods.stop();
      running.stop();
      await Promise.all(controllers.map((one) => one.stop()));
      await context.events.flush();
    };
    for (const informer of informers) informer.start();
    await Promise.all([...informers.map((informer) => informer.synced), plainPods.start()]);
    scaler = running;
    // Everything that exists is made known to the gateway before any controller begins to write.
    for (const revision of caches.revisions.list()) {
      running
        .upsert(revision, false, false)
        .catch((error) => log.warn('a revision was not taken up', { error: String(error) }));
    }
    for (const route of caches.routes.list()) routing.publish(keyOf(route));
    for (const one of controllers) one.start();
  };

  return {
    events: {
      demand: (key, queued, inFlight) => scaler?.demand(key, queued, inFlight),
      stats: (stats, intervalMs) => scaler?.stats(stats, intervalMs),
      endpointDown: (key, id, reason) => scaler?.endpointDown(key, id, reason),
    },
    start,
    stop: () => stop(),
  };
}
