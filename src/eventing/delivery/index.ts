/** Streams and their deliveries, put together: what the engine holds of this part. */
import type { Clock } from '../../base/clock.ts';
import { messageOf, PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { EventLog, Stream } from '../log/contract.ts';
import type { EngineState } from '../log/state/contract.ts';
import type {
  AddressKey,
  DeliveryTerms,
  EngineOptions,
  EngineReports,
  StreamSpec,
  SubscriptionSpec,
  Target,
} from '../model.ts';
import { countRefusal, createAcceptor, type Intake, type LocalAddress } from './acceptor.ts';
import { type Client, createClient } from './client.ts';
import type { Acceptor, Courier, Sender } from './contract.ts';
import { createCourier } from './courier.ts';
import type { LaneEnvironment } from './environment.ts';
import { Head } from './head.ts';
import { Keeper } from './keeper.ts';
import { Lane } from './lane.ts';
import { createPaths } from './paths.ts';
import { type Answers, createAnswers } from './questions.ts';
import { Reporter } from './reporter.ts';
import { createSender } from './sender.ts';
import { Slots } from './slots.ts';
import { type Beginning, Subscription } from './subscription.ts';

/** A stream that could not be opened is tried again after this time, ms. */
const OPEN_AGAIN_MS = 2000;
/** Deliveries at once of what is delivered again for a source. */
const DIRECT_CONCURRENCY = 16;

export interface DeliveryOptions {
  log: EventLog;
  state: EngineState;
  options: Pick<EngineOptions, 'base' | 'gateway'>;
  reports: Reports;
  clock: Clock;
  /** Uniform in [0, 1). */
  random: () => number;
  logger: Logger;
  /** What else is addressed by a key: sinks, transforms, jobs. */
  local: LocalAddress;
  /** Instead of the client of our own; for tests. */
  client?: Client;
}

export interface Delivery {
  readonly acceptor: Acceptor;
  readonly sender: Sender;
  readonly courier: Courier;
  readonly answers: Answers;
  setStream(key: AddressKey, spec: StreamSpec | null): void;
  setSubscription(key: string, spec: SubscriptionSpec | null): void;
  /** Counts what was refused before it was an event for a stream. False: there is no such stream. */
  refused(key: AddressKey, reason: string): boolean;
  /** To whom a source delivers by itself; for dead letters of it that are delivered again. */
  setDirect(key: string, to: { target: Target; terms: DeliveryTerms } | null): void;
  /** Everything has been set: streams and positions beyond that go, and deliveries begin. Resolves when all streams are open or have failed to. */
  complete(): Promise<void>;
  /** Begins nothing any more; what is under way may end for up to `graceMs`. Positions are on disk when it resolves. */
  drain(graceMs: number): Promise<void>;
  /** After `drain`; the log and the state are not its own. */
  close(): Promise<void>;
}

export type Reports = Pick<EngineReports, 'source' | 'subscription' | 'lag' | 'seenType'>;

interface StreamEntry extends Intake {
  head: Head | undefined;
  gone: boolean;
}

interface SubscriptionEntry {
  spec: SubscriptionSpec;
  subscription: Subscription | undefined;
}

export function createDelivery({
  log: eventLog,
  state,
  options,
  reports,
  clock,
  random,
  logger,
  local,
  client = createClient(),
}: DeliveryOptions): Delivery {
  const streams = new Map<AddressKey, StreamEntry>();
  const entries = new Map<string, SubscriptionEntry>();
  const directs = new Map<string, Lane>();
  /** What is done with the files of one key, one after the other. */
  const chains = new Map<AddressKey, Promise<unknown>>();
  const positions = new Map<string, Beginning>();
  for (const { uid, low, above, since } of state.positions()) positions.set(uid, { low, above, since });
  let completed = false;
  let closing = false;

  const acceptor = createAcceptor({ intake: (key) => streams.get(key), local, reports, clock });
  const answersHere = (key: AddressKey) => streams.has(key) || local(key) !== undefined;
  const sender = createSender({ client, acceptor, answers: answersHere, options, clock });
  const paths = createPaths(() => clock.now());
  const env: LaneEnvironment = {
    sender,
    state,
    clock,
    random,
    log: logger,
    slots: new Slots(),
    budget: { bytes: 0 },
    paths,
  };
  const keeper = new Keeper(state, clock);
  const reporter = new Reporter(reports, clock);

  const inTurn = <T>(key: AddressKey, what: () => Promise<T>): Promise<T> => {
    const before = chains.get(key) ?? Promise.resolve();
    const mine = before.then(what, what);
    const settled = mine.then(
      () => {},
      () => {},
    );
    chains.set(key, settled);
    void settled.then(() => {
      if (chains.get(key) === settled) chains.delete(key);
    });
    return mine;
  };

  /** Makes the subscription of an entry, when its stream is open. */
  const attach = async (entry: SubscriptionEntry): Promise<void> => {
    const { spec } = entry;
    const head = streams.get(spec.stream)?.head;
    if (head === undefined || closing) return;
    let position = positions.get(spec.uid);
    const known = position !== undefined;
    if (position === undefined) {
      const { start } = spec;
      const { stream } = head;
      const low =
        start === 'latest' ? head.seen : start === 'earliest' ? stream.start : await stream.seek(start);
      position = { low, above: [], since: low };
    } else if (position.low > head.stream.end) position = { low: head.stream.start, above: [], since: 0 };
    // It may have changed while the log was asked.
    if (entries.get(spec.key) !== entry || entry.subscription !== undefined) return;
    if (streams.get(entry.spec.stream)?.head !== head) return;
    const subscription = new Subscription(entry.spec, head, position, env, {
      changed: (one) => {
        if (one.closed) return;
        keeper.changed(one);
        reporter.changed(one);
      },
    });
    entry.subscription = subscription;
    head.subscriptions.add(subscription);
    if (!known) {
      // From here on it must get everything: what it begins with is not found out again after a crash.
      positions.set(spec.uid, position);
      state.savePosition(subscription.position());
      state
        .flush()
        .catch((error) => logger.error('a position could not be written', { error: messageOf(error) }));
    }
    if (completed) subscription.start();
  };

  /** Takes a subscription out; what is known of how far it came stays in `positions`. */
  const detach = (entry: SubscriptionEntry): void => {
    const { subscription } = entry;
    if (subscription === undefined) return;
    entry.subscription = undefined;
    const { uid, low, above, since } = subscription.position();
    positions.set(uid, { low, above, since });
    const { head } = subscription;
    keeper.forget(subscription);
    reporter.forget(subscription);
    void subscription.close();
    head.subscriptions.delete(subscription);
    keeper.need(head);
  };

  const drop = (entry: SubscriptionEntry): void => {
    detach(entry);
    positions.delete(entry.spec.uid);
    state.dropPosition(entry.spec.uid);
  };

  const open = (entry: StreamEntry): void => {
    const { promise, resolve } = Promise.withResolvers<void>();
    entry.tried = promise;
    const tryToOpen = async (): Promise<void> => {
      while (!entry.gone && !closing) {
        try {
          const stream = await eventLog.open(entry.spec);
          if (!entry.gone) begin(entry, stream);
          if (entry.spec.backend)
            reports.source(entry.spec.key, { ready: true, reason: 'Open', message: '' });
          return;
        } catch (error) {
          entry.problem = messageOf(error);
          logger.error('a stream cannot be opened', { stream: entry.spec.key, error: entry.problem });
          if (entry.spec.backend)
            reports.source(entry.spec.key, {
              ready: false,
              reason: 'StoreUnavailable',
              message: reasonOf(error),
            });
          resolve();
        }
        await new Promise<void>((done) => clock.after(OPEN_AGAIN_MS, done));
      }
    };
    void inTurn(entry.spec.key, tryToOpen).finally(resolve);
  };

  const begin = (entry: StreamEntry, stream: Stream): void => {
    // The spec may have changed while it was opened.
    if (stream.spec !== entry.spec) stream.update(entry.spec);
    const head = new Head(stream, logger, () => {
      keeper.moved(head);
      reporter.moved(head);
    });
    entry.stream = stream;
    entry.head = head;
    for (const one of entries.values()) if (one.spec.stream === entry.spec.key) void attach(one);
  };

  const shut = (entry: StreamEntry): void => {
    entry.gone = true;
    streams.delete(entry.spec.key);
    for (const one of entries.values()) {
      if (one.spec.stream !== entry.spec.key) continue;
      detach(one);
      // Another stream of that name begins anew, and they with it.
      const { uid, key, stream } = one.spec;
      const beginning = { low: 0, above: [], since: 0 };
      positions.set(uid, beginning);
      state.savePosition({ uid, subscription: key, stream, ...beginning });
    }
    entry.head?.close();
  };

  const direct = (key: string): Lane | undefined => directs.get(key);
  const setDirect: Delivery['setDirect'] = (key, to) => {
    const lane = directs.get(key);
    if (to === null) {
      directs.delete(key);
      void lane?.close();
      return;
    }
    if (lane !== undefined && lane.spec.subscriber === to.target && lane.spec.terms === to.terms) return;
    const spec = {
      key,
      stream: key,
      subscriber: to.target,
      terms: to.terms,
      concurrency: DIRECT_CONCURRENCY,
      paused: false,
      broker: false,
    };
    if (lane !== undefined) return lane.update(spec);
    const host = { resolved() {}, position: () => undefined, full: () => false, changed() {} };
    directs.set(key, new Lane(spec, env, host));
  };

  const all = function* (): Generator<Subscription> {
    for (const { subscription } of entries.values()) if (subscription !== undefined) yield subscription;
  };

  const answers = createAnswers({
    state,
    paths,
    clock,
    *streams() {
      for (const [key, { head, accepted, refusals }] of streams)
        if (head !== undefined) yield [key, { head, accepted, refusals }];
    },
    subscriptions: all,
    lane: (key) => entries.get(key)?.subscription?.lane ?? direct(key),
  });

  return {
    acceptor,
    sender,
    courier: createCourier(env, (key, target, terms) => setDirect(key, { target, terms })),
    answers,
    setDirect,
    setStream(key, spec) {
      const entry = streams.get(key);
      if (spec === null || (entry !== undefined && entry.spec.uid !== spec.uid)) {
        if (entry !== undefined) shut(entry);
        if (spec === null) {
          if (entry !== undefined)
            inTurn(key, () => eventLog.remove(key)).catch((error) =>
              logger.error('the events of a stream could not be taken away', {
                stream: key,
                error: messageOf(error),
              }),
            );
          return;
        }
      } else if (entry !== undefined) {
        entry.spec = spec;
        entry.stream?.update(spec);
        for (const one of entry.head?.subscriptions ?? []) one.update(one.spec);
        return;
      }
      const made: StreamEntry = {
        spec,
        stream: undefined,
        head: undefined,
        tried: Promise.resolve(),
        problem: undefined,
        accepted: 0,
        refusals: {},
        types: new Set(),
        gone: false,
      };
      streams.set(key, made);
      open(made);
    },
    setSubscription(key, spec) {
      const entry = entries.get(key);
      if (spec === null) {
        if (entry === undefined) return;
        entries.delete(key);
        const lane = entry.subscription?.lane;
        drop(entry);
        void lane?.parked.clear().catch((error) =>
          logger.error('what waited for a subscription could not be taken away', {
            key,
            error: messageOf(error),
          }),
        );
        return;
      }
      if (entry !== undefined && entry.spec.uid === spec.uid && entry.spec.stream === spec.stream) {
        entry.spec = spec;
        entry.subscription?.update(spec);
        return;
      }
      if (entry !== undefined) drop(entry);
      const made: SubscriptionEntry = { spec, subscription: undefined };
      entries.set(key, made);
      void attach(made);
    },
    refused(key, reason) {
      const refusals = streams.get(key)?.refusals;
      if (refusals !== undefined) countRefusal(refusals, reason);
      return refusals !== undefined;
    },
    async complete() {
      completed = true;
      keeper.allSet();
      const alive = new Set([...entries.values()].map(({ spec }) => spec.uid));
      for (const uid of positions.keys()) {
        if (alive.has(uid)) continue;
        positions.delete(uid);
        state.dropPosition(uid);
      }
      for (const one of all()) one.start();
      for (const key of await eventLog.keys())
        if (!streams.has(key))
          await inTurn(key, async () => {
            if (!streams.has(key)) await eventLog.remove(key);
          });
      await Promise.all([...streams.values()].map(({ tried }) => tried));
      for (const { head } of streams.values()) if (head !== undefined) keeper.need(head);
    },
    async drain(graceMs) {
      closing = true;
      const ending = [...all(), ...directs.values()].map((one) => one.close());
      const grace = Promise.withResolvers<void>();
      const timer = clock.after(graceMs, grace.resolve);
      await Promise.race([Promise.all(ending), grace.promise]);
      timer.cancel();
      client.close();
      await Promise.all(ending);
      for (const one of all()) state.savePosition(one.position());
      keeper.close();
      reporter.close();
      await state.flush();
    },
    async close() {
      client.close();
      for (const entry of [...streams.values()]) {
        entry.gone = true;
        entry.head?.close();
      }
      streams.clear();
      await Promise.all(chains.values());
    },
  };
}

/** What a failure says, with its reason where it has one. */
const reasonOf = (error: unknown): string =>
  error instanceof PetrelError && error.why !== '' ? `${error.message}: ${error.why}` : messageOf(error);
