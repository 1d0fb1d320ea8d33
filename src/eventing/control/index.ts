/** The controllers of eventing: objects of the API → what the engine is told; what the engine tells → status. */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { EventingObject } from '../../kinds/eventing/objects.ts';
import type { KubeClient } from '../../kube/client.ts';
import { createEventRecorder } from '../../kube/events.ts';
import { createStatusWriter } from '../../kube/status-writer.ts';
import type { EngineControl, EngineReports } from '../model.ts';
import { apiServerSources } from './api-server-sources.ts';
import { brokers } from './brokers.ts';
import { channels, inMemoryChannels } from './channels.ts';
import { createConfigMaps, followConfig } from './config.ts';
import { containerSources } from './container-sources.ts';
import type { ControlContext, PartState } from './context.ts';
import { eventSources } from './event-sources.ts';
import { eventTransforms } from './event-transforms.ts';
import { createTypeRecorder, eventPolicies, eventTypes } from './event-types.ts';
import { parallels, sequences } from './flows.ts';
import { INTEGRATION_PREFIX, integrationSinks } from './integration-sinks.ts';
import { jobSinks } from './job-sinks.ts';
import { createKind, type Kind, type KindController, logFailure } from './kind.ts';
import { createObjects } from './objects.ts';
import { pingSources } from './ping-sources.ts';
import { KNOWN_KINDS } from './resources.ts';
import { sinkBindings } from './sink-bindings.ts';
import { eventSinks, KAFKA_PREFIX, kafkaSinks } from './sinks.ts';
import { kafkaSources } from './sources.ts';
import { subscriptions } from './subscriptions.ts';
import { followNamespaces } from './sugar.ts';
import { triggers } from './triggers.ts';

export interface ControllersOptions {
  client: KubeClient;
  engine: EngineControl;
  /** `EngineOptions.base`. */
  base: string;
  clock: Clock;
  log: Logger;
  /** Uniform in [0, 1). */
  random(): number;
}

export interface Controllers {
  /** Takes what the engine tells. How much waits is not theirs: scaling hears that from whoever holds the engine. */
  reports: EngineReports;
  stop(): Promise<void>;
}

/** Kinds in the order in which they are looked at first: what others build on comes before them. */
// biome-ignore lint/suspicious/noExplicitAny: each kind's own type of object ends here
const KINDS: readonly ((context: ControlContext) => Kind<any>)[] = [
  brokers,
  inMemoryChannels,
  channels,
  eventSinks,
  kafkaSinks,
  integrationSinks,
  jobSinks,
  eventTransforms,
  sequences,
  parallels,
  triggers,
  subscriptions,
  eventSources,
  kafkaSources,
  pingSources,
  apiServerSources,
  containerSources,
  sinkBindings,
  eventTypes,
  eventPolicies,
];

/** What is the same as before is not told again. */
function onlyChanges(engine: EngineControl, gone: (key: string) => void): ControlContext['engine'] {
  const once = <Spec>(set: (key: string, spec: Spec | null) => void) => {
    const told = new Map<string, Spec>();
    return (key: string, spec: Spec | null): void => {
      const before = told.get(key);
      if (spec === null ? before === undefined : isDeepStrictEqual(before, spec)) return;
      if (spec === null) {
        told.delete(key);
        gone(key);
      } else told.set(key, spec);
      set(key, spec);
    };
  };
  return {
    setStream: once((key, spec) => engine.setStream(key, spec)),
    setSubscription: once((key, spec) => engine.setSubscription(key, spec)),
    setSource: once((key, spec) => engine.setSource(key, spec)),
    setSink: once((key, spec) => engine.setSink(key, spec)),
    bring: (key, record) => engine.bring(key, record),
    checkpoint: (key) => engine.checkpoint(key),
    applied: () => engine.applied(),
    saveCheckpoint: (key, value) => engine.saveCheckpoint(key, value),
    serve: (name, handler) => engine.serve(name, handler),
  };
}

/** Which kind reports under the first part of such keys. */
const REPORTERS: Record<string, string> = { transform: 'eventtransforms', job: 'jobsinks' };
/** Sinks of other kinds than EventSink, by what their names begin with. */
const SINKS: Record<string, string> = {
  [KAFKA_PREFIX]: 'kafkasinks',
  [INTEGRATION_PREFIX]: 'integrationsinks',
};

/** Namespace and name of the object that a key is of, and the plural of its kind. */
function reporterOf(key: string): { plural: string; namespace: string; name: string } | undefined {
  const [prefix = '', namespace = '', name = ''] = key.split('/');
  if (name === '') return undefined;
  if (prefix !== 'sink') return { plural: REPORTERS[prefix] ?? `${prefix}s`, namespace, name };
  const [kind = '', plural = 'eventsinks'] =
    Object.entries(SINKS).find(([start]) => name.startsWith(start)) ?? [];
  return { plural, namespace, name: name.slice(kind.length) };
}

/**
 * Starts them; resolves when everything that exists has been set once and the engine knows that. `engine.complete` is called here. Nothing of
 * this is needed, or loaded, before the first object of eventing.
 */
export async function startControllers(options: ControllersOptions): Promise<Controllers> {
  const { client, base, clock } = options;
  const log = options.log.with({ component: 'eventing' });
  const states = new Map<string, PartState>();
  const kinds = new Map<string, KindController>();
  const objects = createObjects({ client, clock, log, known: KNOWN_KINDS });
  const events = createEventRecorder({ client, component: 'eventing', log, now: () => clock.now() });
  const config = followConfig({ client, clock, log }, () => {
    for (const kind of kinds.values()) kind.enqueueAll();
  });
  const context: ControlContext = {
    client,
    engine: onlyChanges(options.engine, (key) => states.delete(key)),
    base,
    clock,
    random: options.random,
    log,
    events,
    objects,
    writeStatus: createStatusWriter(client, clock),
    config: config.current,
    stateOf: (key) => states.get(key),
  };
  const recordType = createTypeRecorder(context);
  const reports: EngineReports = {
    source(key, state) {
      const before = states.get(key);
      states.set(key, state);
      // How much waits is no news for a status.
      if (
        before &&
        before.ready === state.ready &&
        before.message === state.message &&
        before.reason === state.reason
      )
        return;
      const reporter = reporterOf(key);
      if (reporter) kinds.get(reporter.plural)?.enqueue(reporter.namespace, reporter.name);
    },
    subscription() {},
    lag() {},
    seenType: recordType,
  };

  await config.start();
  void createConfigMaps(client).catch(logFailure(context, 'the ConfigMaps of eventing could not be made'));
  const created = KINDS.map((kind) => createKind<EventingObject>(context, kind(context)));
  for (const kind of created) {
    kinds.set(kind.resource.plural, kind);
    objects.informer(kind.resource);
  }
  for (const kind of created) await kind.start();
  options.engine.complete();
  const unfollow = followNamespaces(context);

  return {
    reports,
    async stop() {
      unfollow();
      config.stop();
      await Promise.all(created.map((kind) => kind.stop()));
      objects.stop();
    },
  };
}
