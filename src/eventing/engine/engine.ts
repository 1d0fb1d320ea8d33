/** The event engine: puts log, state, deliveries, sources, sinks and ingress together. Runs in a thread of its own, see `thread.ts`. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Json } from '../../kinds/object.ts';
import type { Address } from '../addresses.ts';
import { countRefusal } from '../delivery/acceptor.ts';
import type { Delivery } from '../delivery/index.ts';
import { Ingress } from '../ingress/ingress.ts';
import { MuxServer } from '../ingress/mux-server.ts';
import { withRemote } from '../log/remote/index.ts';
import type {
  AddressKey,
  EngineControl,
  EngineOptions,
  EngineReports,
  Questions,
  SourceReport,
  StreamSpec,
} from '../model.ts';
import { Sinks } from '../sinks/run.ts';
import { BroughtSources } from '../sources/brought.ts';
import { checkpointName, Sources } from '../sources/run.ts';
import type { EngineParts } from './parts.ts';

/** Largest event that an address takes which is no stream, bytes. */
const MAX_EVENT_BYTES = 1024 * 1024;

export interface EngineSurroundings {
  options: EngineOptions;
  reports: EngineReports;
  parts: EngineParts;
  clock: Clock;
  random(): number;
  uuid(): string;
  /** Asks the thread that holds the engine. */
  callMain(name: string, input: Json): Promise<Json>;
  log: Logger;
}

export interface Engine extends Omit<EngineControl, 'serve'> {
  /**
   * Sources stop, then no more requests are taken, then deliveries that are under way end: all of it in about `graceMs`. What is
   * accepted and not delivered stays for the next start.
   */
  stop(graceMs: number): Promise<void>;
}

/** Opens what is on disk and listens for the gateway. Rejects when it cannot. */
export async function startEngine(around: EngineSurroundings): Promise<Engine> {
  const { options, parts, clock, random, uuid, callMain, log } = around;
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  const streams = new Map<AddressKey, StreamSpec>();
  /** What was refused and meant no stream, by reason. */
  const refusals: Record<string, number> = {};
  const states = new Map<string, SourceReport>();
  const reports: EngineReports = {
    ...around.reports,
    source(key, state) {
      states.set(key, state);
      around.reports.source(key, state);
    },
  };
  const subscriptions = new Set<string>();
  const eventLog = withRemote(await parts.openLog({ dir: join(options.dir, 'streams'), clock, log }), {
    clock,
    log,
    report: (key, state) => reports.source(key, state),
  });
  const onDisk = new Set(await eventLog.keys());
  const state = await parts.openState({ path: join(options.dir, 'state.db'), clock, log });
  const sinks = new Sinks({
    modules: parts.sinks,
    reports,
    callMain,
    // Sinks are known to deliveries, and the other way round.
    sender: { send: (...what) => delivery.sender.send(...what) },
    clock,
    random,
    log,
  });
  const delivery: Delivery = parts.createDelivery({
    log: eventLog,
    state,
    options,
    reports,
    clock,
    random,
    logger: log,
    local: (key) => sinks.local(key),
  });
  const { acceptor, courier } = delivery;

  const setStream: EngineControl['setStream'] = (key, spec) => {
    if (spec === null) {
      streams.delete(key);
      states.delete(key);
      onDisk.delete(key);
    } else streams.set(key, spec);
    delivery.setStream(key, spec);
  };
  const setSubscription: EngineControl['setSubscription'] = (key, spec) => {
    if (spec === null) subscriptions.delete(key);
    else subscriptions.add(key);
    delivery.setSubscription(key, spec);
  };

  const brought = new BroughtSources();
  const sources = new Sources({
    modules: { ...parts.sources, brought: async () => brought.module },
    dir: join(options.dir, 'files'),
    state,
    acceptor,
    courier,
    base: options.base,
    isStream: (key) => streams.has(key),
    onDisk: (key) => onDisk.has(key),
    setStream,
    setSubscription,
    setDirect: (key, to) => delivery.setDirect(key, to),
    reports,
    clock,
    random,
    uuid,
    log,
  });
  let complete = false;
  const addresses = {
    complete: () => complete,
    limit: (key: AddressKey) =>
      streams.get(key)?.maxEventBytes ?? (sinks.has(key) ? MAX_EVENT_BYTES : undefined),
    refused(key: AddressKey | undefined, reason: string) {
      if (key === undefined || !delivery.refused(key, reason)) countRefusal(refusals, reason);
    },
    requests: ({ kind, key, namespace, name }: Address) =>
      kind === 'source' ? sources.requests(namespace, name) : sinks.requests(key),
  };
  const server = new MuxServer(new Ingress({ addresses, acceptor, log }), log);
  await server.listen(options.socket);

  const engineAnswer = ({ namespace }: Questions['engine']['input']): Questions['engine']['answer'] => ({
    refusals: { ...refusals },
    states: Object.fromEntries(
      [...states].filter(([key]) => namespace === undefined || key.split('/')[1] === namespace),
    ),
  });

  const begin = async () => {
    await delivery.complete();
    const names = [...sources.specs.values()].map(checkpointName);
    await state.sweep({ subscriptions, sources: new Set(names) });
    sources.begin();
  };

  return {
    setStream,
    setSubscription,
    setSource(key, spec) {
      sources.set(key, spec);
      if (spec === null) states.delete(key);
    },
    setSink(key, spec) {
      sinks.set(key, spec);
      if (spec === null) states.delete(key);
    },
    complete() {
      complete = true;
      begin().catch((error) =>
        log.error('deliveries could not begin', { error: String(error?.stack ?? error) }),
      );
    },
    // Calls come in the order in which they were made.
    applied: async () => {},
    // The table's rows and the question's type are one: the compiler cannot see it through the index.
    ask: async (question, input) =>
      (question === 'engine'
        ? engineAnswer(input as Questions['engine']['input'])
        : delivery.answers[question as Exclude<typeof question, 'engine'>](input as never)) as never,
    bring: (key, record) => brought.bring(key, record),
    checkpoint: (key) => brought.checkpoint(key),
    saveCheckpoint: (key, value) => brought.saveCheckpoint(key, value),
    async stop(graceMs) {
      const until = clock.monotonic() + graceMs;
      const left = () => Math.max(0, until - clock.monotonic());
      await sources.stop(graceMs / 2);
      await server.close(left());
      await delivery.drain(left());
      await sinks.stop(left());
      await delivery.close();
      await state.close();
      await eventLog.close();
    },
  };
}
