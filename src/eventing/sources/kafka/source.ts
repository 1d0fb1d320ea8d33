/**
 * Kafka as a source. Kafka keeps the messages: what is committed is the mark below which all are delivered or dead, for each partition, so that
 * a crash, a lost connection or a rebalance repeats deliveries and loses none.
 */
import type { Timer } from '../../../base/clock.ts';
import type { Base, Consumer } from '../../../clients/kafka/index.ts';
import { loadClient } from '../../../clients/load.ts';
import { Health } from '../../connectors/health.ts';
import { Intake } from '../../connectors/intake.ts';
import { cutOff, kafkaName, kafkaOptions, kafkaReason } from '../../connectors/kafka.ts';
import { leave, within } from '../../connectors/leave.ts';
import { LowWater } from '../../connectors/low-water.ts';
import { causes, persist } from '../../connectors/persist.ts';
import type { RunningSource, SourceContext, SourceModule } from '../contract.ts';
import { startOf } from '../initial-offset.ts';
import { check, fromKeda, type KafkaConfig, read } from './config.ts';
import { createMember } from './group.ts';
import { type KafkaMessage, toEvent } from './record.ts';

type Client = typeof import('../../../clients/kafka/index.ts');

/** Marks are committed this long after they have moved; a crash repeats what was delivered since. */
const COMMIT_MS = 200;
/** How long a rebalance waits for what is under way. */
const SETTLE_MS = 20_000;
const COMMIT_LIMIT_MS = 2000;
const LEAVE_MS = 3000;
/** Messages begun of one partition above an unresolved one: what others may run ahead of a message that is being retried. */
const AHEAD = 20_000;

/** What the coordinator answers where a group has members. */
const OCCUPIED: ReadonlySet<string> = new Set([
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
  'STALE_MEMBER_EPOCH',
  'NON_EMPTY_GROUP',
]);

/** What is read of one partition while it is this member's. */
interface Partition {
  topic: string;
  partition: number;
  water?: LowWater;
  leaderEpoch: number;
  committed: bigint;
  /** It belongs to somebody else now. */
  lost: boolean;
}

export const kafkaSource: SourceModule = {
  type: 'kafka',
  durable: 'upstream',
  check,
  fromKeda,
  async start(context): Promise<RunningSource> {
    const config = read(context.config);
    const stopping = new AbortController();
    // Not the context's, which aborts before what is under way has been settled.
    const { signal } = stopping;
    const health = new Health(context);
    let session: Session | undefined;
    const memberId = await memberIdOf(context);
    const running = persist(
      { ...context, signal, report: health.state, what: kafkaName(config), reasonOf: kafkaReason },
      async (up) => {
        const client = await loadClient('kafka');
        do session = new Session(client, context, config, health, signal, memberId);
        while ((await session.run(up)) === 'anew');
      },
    );
    return {
      async stop(graceMs) {
        await session?.settle(graceMs);
        stopping.abort();
        const cut = () => session?.cut();
        // Of a group that was not joined there is no leave to take.
        if (session?.joined !== true) cut();
        await leave({ ...context, what: kafkaName(config) }, running, 0, cut);
      },
    };
  },
};

/** The id that a source is a member of its group by, in this life of the platform and the next. */
async function memberIdOf(context: SourceContext<unknown>): Promise<string> {
  const saved = context.checkpoint() as { memberId?: string } | null | undefined;
  if (typeof saved?.memberId === 'string') return saved.memberId;
  const memberId = context.uuid();
  await context.saveCheckpoint({ memberId });
  return memberId;
}

/** From joining the group to leaving it. */
class Session {
  readonly #client: Client;
  readonly #context: SourceContext<unknown>;
  readonly #config: KafkaConfig;
  readonly #signal: AbortSignal;
  readonly #group: string;
  /** The same in all lives of a source: with KIP-848 one that lost its connection, or was killed, has its partitions back at once. */
  readonly #memberId: string;
  readonly #intake: Intake;
  readonly #partitions = new Map<string, Partition>();
  /** Partitions that were taken from this session: its stream may still hold messages of them from before. */
  readonly #given = new Set<string>();
  #consumer: Consumer | undefined;
  #stream: Awaited<ReturnType<Consumer['consume']>> | undefined;
  #commitTimer: Timer | undefined;
  #committing: Promise<void> | undefined;
  /** What has connections: clients, and the stream. */
  readonly #connected = new Set<Pick<Base, 'connections'>>();
  #isCut = false;
  /** It reads. */
  joined = false;
  #paused = false;
  #ended = false;
  #fail: (error: unknown) => void = () => {};
  #again: () => void = () => {};

  constructor(
    client: Client,
    context: SourceContext<unknown>,
    config: KafkaConfig,
    health: Health,
    signal: AbortSignal,
    memberId: string,
  ) {
    this.#memberId = memberId;
    this.#client = client;
    this.#context = context;
    this.#config = config;
    this.#signal = signal;
    this.#group = config.consumerGroup ?? `petrel.${context.namespace}.${context.name}`;
    this.#intake = new Intake({
      clock: context.clock,
      concurrency: config.concurrency,
      lag: health.lag,
      beyond: () => this.#lag(),
    });
  }

  /** Reads until the signal aborts; rejects when it cannot go on, answers `anew` when it must begin again at what is committed. */
  async run(up: (message: string) => void): Promise<'anew' | 'stopped'> {
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    failed.catch(() => {});
    const anew = new Promise<'anew'>((resolve) => {
      this.#again = () => resolve('anew');
    });
    const stopped = new Promise<'stopped'>((resolve) => {
      if (this.#signal.aborted) resolve('stopped');
      else this.#signal.addEventListener('abort', () => resolve('stopped'), { once: true });
    });
    try {
      const consumer = await this.#join();
      const stream = await consumer.consume({
        topics: [...this.#config.topics],
        mode: 'committed',
        fallbackMode: 'earliest', // what the group begins with is pinned; this is for partitions that are added later
        autocommit: false,
        maxWaitTime: this.#config.maxWaitMs,
      });
      this.#stream = this.#own(stream);
      stream.on('error', this.#fail);
      stream.on('close', () => this.#fail(new Error('the stream of messages was closed')));
      stream.on('data', (message) =>
        this.#take(message as unknown as KafkaMessage & { leaderEpoch: number }),
      );
      this.joined = true;
      up(`reads ${this.#config.topics.join(', ')} as group ${this.#group}`);
      const end = await Promise.race([failed, stopped, anew]);
      if (end === 'anew') await this.settle(SETTLE_MS);
      return end;
    } catch (error) {
      // What is under way may still be committed, where the brokers are there and only the group is not.
      await this.settle(COMMIT_LIMIT_MS);
      throw error;
    } finally {
      await this.#leave();
    }
  }

  #own<C extends Pick<Base, 'connections'>>(client: C): C {
    this.#connected.add(client);
    if (this.#isCut) cutOff([client]);
    return client;
  }

  /** Ends all connections without a word. */
  cut(): void {
    this.#isCut = true;
    cutOff(this.#connected);
  }

  /** Begins nothing more, waits for what is under way, and commits. */
  async settle(ms: number): Promise<void> {
    await this.#intake.hold(ms);
    this.#commitTimer?.cancel();
    this.#commitTimer = undefined;
    // The client answers a refused commit by joining anew, and that may be waiting for this.
    await within(
      this.#context.clock,
      this.#commit().catch(() => {}),
      COMMIT_LIMIT_MS,
    );
  }

  async #join(): Promise<Consumer> {
    const options = kafkaOptions(this.#config, `petrel-${this.#context.namespace}-${this.#context.name}`);
    const { kip848, ownId } = await this.#pin(options);
    const group = kip848
      ? { groupProtocol: 'consumer' as const }
      : {
          groupProtocol: 'classic' as const,
          sessionTimeout: 10_000,
          heartbeatInterval: 1000,
          rebalanceTimeout: 60_000,
        };
    const consumer = createMember(
      this.#client,
      { ...options, groupId: this.#group, ...group },
      {
        settle: async () => {
          await this.settle(SETTLE_MS);
          // Where the change comes to nothing, nobody tells.
          this.#context.clock.after(SETTLE_MS / 4, () => this.#intake.release());
        },
        assigned: (partitions) => this.#assigned(partitions),
      },
    );
    consumer.on('error', (error: unknown) => this.#fail(error));
    consumer.on('consumer:heartbeat:stalled', ({ lastError }) =>
      this.#fail(lastError ?? new Error('the group’s coordinator does not answer')),
    );
    if (kip848 && ownId) consumer.memberId = this.#memberId;
    this.#consumer = this.#own(consumer);
    return consumer;
  }

  /**
   * Writes down where the group begins, for partitions of which it has read nothing: what comes from now on is not lost even if this
   * ends before its first commit. Answers whether KIP-848 is to be used, and whether members choose their ids there.
   */
  async #pin(options: ReturnType<typeof kafkaOptions>): Promise<{ kip848: boolean; ownId: boolean }> {
    const { Admin } = this.#client;
    const admin = this.#own(new Admin(options));
    const probe = this.#own(new this.#client.Consumer({ ...options, groupId: this.#group }));
    try {
      const apis = await admin.listApis();
      const heartbeat = apis.find(({ name }) => name === 'ConsumerGroupHeartbeat');
      const topics = [...this.#config.topics];
      const metadata = await admin.metadata({ topics });
      const all = topics.map((topic) => ({
        topic,
        partitions: Array.from({ length: metadata.topics.get(topic)?.partitionsCount ?? 0 }, (_, i) => i),
      }));
      const committed = await probe.listCommittedOffsets({ topics: all });
      const start = startOf(this.#config.initialOffset) ?? 'latest';
      const timestamp = start === 'latest' ? -1n : start === 'earliest' ? -2n : BigInt(start);
      const missing = all
        .map(({ topic, partitions }) => ({
          topic,
          partitions: partitions.filter((p) => (committed.get(topic)?.[p] ?? -1n) < 0n),
        }))
        .filter(({ partitions }) => partitions.length > 0);
      if (missing.length > 0) {
        const names = missing.map(({ topic }) => topic);
        const at = await probe.listOffsets({ topics: names, timestamp });
        const end = await probe.listOffsets({ topics: names, timestamp: -1n });
        const pinned = admin.alterConsumerGroupOffsets({
          groupId: this.#group,
          topics: missing.map(({ topic, partitions }) => ({
            name: topic,
            partitionOffsets: partitions.map((partition) => {
              // A time after the newest message has no offset.
              const found = at.get(topic)?.[partition] ?? -1n;
              return { partition, offset: found >= 0n ? found : (end.get(topic)?.[partition] ?? 0n) };
            }),
          })),
        });
        // A group that somebody reads with takes offsets from its members only: they have pinned it, or read a new partition from its beginning.
        await pinned.catch((error: unknown) => {
          if (![...causes(error)].some((one) => OCCUPIED.has(String((one as { apiId?: string }).apiId))))
            throw error;
        });
      }
      const { protocol } = this.#config;
      return {
        kip848: protocol === 'consumer' || (protocol === 'auto' && heartbeat !== undefined),
        ownId: (heartbeat?.maxVersion ?? 0) >= 1,
      };
    } finally {
      await Promise.allSettled([admin.close(), probe.close(true)]);
    }
  }

  #assigned(now: ReadonlySet<string>): void {
    for (const [key, partition] of this.#partitions) {
      if (now.has(key)) continue;
      partition.lost = true;
      this.#partitions.delete(key);
      this.#given.add(key);
    }
    for (const key of now) {
      if (this.#partitions.has(key)) continue;
      if (this.#given.has(key)) {
        this.#again();
        return;
      }
      const at = key.lastIndexOf(':');
      this.#partitions.set(key, {
        topic: key.slice(0, at),
        partition: Number(key.slice(at + 1)),
        leaderEpoch: -1,
        committed: -1n,
        lost: false,
      });
    }
    this.#intake.release();
  }

  #take(message: KafkaMessage & { leaderEpoch: number }): void {
    if (this.#ended) return;
    const { topic, partition: number, offset, key } = message;
    const name = `${topic}:${number}`;
    const partition = this.#partitions.get(name);
    if (partition === undefined) return; // of a partition that has gone
    partition.water ??= new LowWater(offset);
    partition.leaderEpoch = message.leaderEpoch;
    const done = partition.water.begin(offset);
    if (done === undefined) return; // fetched again after a rebalance, and in hand already
    const { ordering } = this.#config;
    const lane =
      ordering === 'none'
        ? undefined
        : ordering === 'partition' || key === undefined
          ? name
          : `${name}:${key.toString('latin1')}`;
    this.#intake.take(lane, async () => {
      if (partition.lost || this.#ended) return;
      await this.#context.emit(toEvent(message, this.#context.namespace, this.#context.name));
      if (done()) this.#commitSoon();
    });
    if (this.#intake.outstanding >= this.#config.prefetch || partition.water.size >= AHEAD)
      void this.#pause(partition);
  }

  /** Back-pressure. The client resumes its stream by itself after a rebalance, so each message asks anew. */
  async #pause(partition: Partition): Promise<void> {
    this.#stream?.pause();
    if (this.#paused) return;
    this.#paused = true;
    await this.#intake.room(Math.max(1, this.#config.prefetch / 2));
    while (!partition.lost && !this.#ended && (partition.water?.size ?? 0) >= AHEAD) await this.#wait(100);
    this.#paused = false;
    if (!this.#ended) this.#stream?.resume();
  }

  #commitSoon(): void {
    this.#commitTimer ??= this.#context.clock.after(COMMIT_MS, () => {
      this.#commitTimer = undefined;
      void this.#commit().catch((error) => {
        this.#context.log.debug('a commit failed, and is tried again', { why: String(error) });
        if (!this.#ended) this.#commitSoon();
      });
    });
  }

  /** Commits all marks that have moved; one commit at a time. */
  async #commit(): Promise<void> {
    await this.#committing?.catch(() => {});
    const moved = [...this.#partitions.values()].filter(
      ({ water, committed }) => water !== undefined && water.mark > committed && water.moved,
    );
    if (moved.length === 0 || this.#consumer === undefined) return;
    const offsets = moved.map(({ topic, partition, water, leaderEpoch }) => ({
      topic,
      partition,
      offset: water?.mark ?? 0n,
      leaderEpoch,
    }));
    this.#committing = this.#consumer.commit({ offsets });
    try {
      await this.#committing;
      for (const [i, partition] of moved.entries()) partition.committed = offsets[i]?.offset ?? -1n;
    } finally {
      this.#committing = undefined;
    }
  }

  /** Messages of this member's partitions that are not resolved. */
  async #lag(): Promise<number> {
    const consumer = this.#consumer;
    if (consumer === undefined || this.#partitions.size === 0) return 0;
    const ends = await consumer.listOffsets({ topics: [...this.#config.topics], timestamp: -1n });
    let lag = 0n;
    for (const { topic, partition, water } of this.#partitions.values()) {
      const end = ends.get(topic)?.[partition] ?? 0n;
      if (water !== undefined && end > water.mark) lag += end - water.mark;
    }
    return Number(lag);
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#context.clock.after(ms, resolve));
  }

  async #leave(): Promise<void> {
    this.#ended = true;
    this.#commitTimer?.cancel();
    this.#intake.close();
    const consumer = this.#consumer;
    // A coordinator that is away must not hold up the next attempt.
    if (consumer !== undefined)
      await within(this.#context.clock, Promise.allSettled([consumer.close(true)]), LEAVE_MS);
    this.cut();
  }
}
