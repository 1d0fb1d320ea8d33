/**
 * Streams in NATS JetStream: a stream of one subject, whose sequence numbers are the offsets. Acknowledged means that JetStream has
 * answered; whether it has flushed by then is the server's `sync_interval`.
 */
import { createHash } from 'node:crypto';
import { sleep } from '../../../base/clock.ts';
import { messageOf, PetrelError } from '../../../base/errors.ts';
import { loadClient } from '../../../clients/load.ts';
import type {
  JetStreamClient,
  JetStreamManager,
  JsMsg,
  NatsConnection,
  StreamConfig,
} from '../../../clients/nats/index.ts';
import type { Fields, Read } from '../../connectors/fields.ts';
import { connectNats, NATS_FIELDS, natsName } from '../../connectors/nats.ts';
import type { StreamSpec } from '../../model.ts';
import type { Entry } from '../contract.ts';
import { FollowedStream, settingsOf } from './followed.ts';
import { lost, movedFrom, OPEN, type OpenRemote, type RemoteSurroundings } from './index.ts';

const FIELDS = {
  ...NATS_FIELDS,
  replicas: { is: 'count', min: 1, max: 5, default: 1, what: 'servers that keep each event' },
} as const satisfies Fields;

type Settings = Read<typeof FIELDS>;
type Client = typeof import('../../../clients/nats/index.ts');

const NANOS = 1e6;
/** An append that is not acknowledged for so long is refused, ms. */
const ACK_MS = 5000;
/** Wait after a connection that broke, ms. */
const AGAIN_MS = 500;
/** Events of one cold read. */
const READ_MESSAGES = 256;
/** What a record may have beyond the event's own bytes. */
const OVERHEAD = 128 * 1024;
/** JetStream's codes. Source: nats-server `server/errors.json`. */
const CODES = { streamNotFound: 10059, full: new Set([10077, 10047, 10023]) };

const codeOf = (error: unknown): number | undefined => {
  const { code, apiError } = error as { code?: unknown; apiError?: () => { err_code?: number } | undefined };
  const api = typeof apiError === 'function' ? apiError.call(error)?.err_code : undefined;
  return api ?? (typeof code === 'number' ? code : undefined);
};

/** Names of streams have no dots, spaces and stars; what is cut stays apart by its digest. */
const nameOf = (key: string): string => {
  const digest = createHash('sha256').update(key).digest('hex').slice(0, 8);
  return `petrel-${key.replace(/[^A-Za-z0-9-]+/g, '-').slice(0, 80)}-${digest}`;
};

export const openJetStream: OpenRemote = async (spec, around) => {
  const settings = settingsOf(spec, FIELDS);
  const stream = new JetStreamStream(spec, { ...around, client: await loadClient('nats') });
  try {
    await stream.begin();
  } catch (error) {
    throw error instanceof PetrelError ? error : unreachable(natsName(settings), error);
  }
  return stream;
};

const unreachable = (place: string, error: unknown): PetrelError =>
  new PetrelError('NotReady', `${place} does not keep events now`, {
    why: messageOf(error),
    fix: 'Start it, let it use JetStream, or correct the configuration that the Broker names.',
    cause: error,
  });

interface Around extends RemoteSurroundings {
  client: Client;
}

class JetStreamStream extends FollowedStream<Around> {
  #settings: Settings;
  readonly #name: string;
  readonly #subject: string;
  /** Its connections end, also one that is being made. */
  readonly #cut = new AbortController();
  #session: { connection: NatsConnection; js: JetStreamClient; manager: JetStreamManager } | undefined;
  #following: Promise<void> | undefined;

  constructor(spec: StreamSpec, around: Around) {
    super(spec, around, 1);
    this.#settings = settingsOf(spec, FIELDS);
    this.#name = nameOf(spec.key);
    this.#subject = `petrel.events.${this.#name}`;
  }

  get place(): string {
    return natsName(this.#settings);
  }

  #configuration(): Partial<StreamConfig> & { name: string } {
    const { hardMaxBytes, maxEventBytes, dedupMs, uid } = this.spec;
    const { client } = this.around;
    const { replicas } = this.#settings;
    return {
      name: this.#name,
      subjects: [this.#subject],
      // Whose events they are: a Broker of the same name later begins anew.
      description: `petrel ${uid}`,
      storage: client.StorageType.File,
      retention: client.RetentionPolicy.Limits,
      // What is acknowledged is not thrown away for what comes: that is refused.
      discard: client.DiscardPolicy.New,
      max_bytes: hardMaxBytes,
      max_msg_size: maxEventBytes + OVERHEAD,
      num_replicas: replicas,
      duplicate_window: Math.max(dedupMs, 100) * NANOS,
      allow_direct: true,
    };
  }

  /** Makes the stream where it is not there, and follows it from its end on. */
  async begin(): Promise<void> {
    const { client } = this.around;
    const name = `petrel ${this.spec.key}`;
    const connection = await connectNats(client, this.#settings, name, this.#cut.signal);
    try {
      await this.#prepare(connection);
    } catch (error) {
      await connection.close().catch(() => {});
      throw error;
    }
  }

  async #prepare(connection: NatsConnection): Promise<void> {
    const { client } = this.around;
    const manager = await client.jetstreamManager(connection, { checkAPI: false });
    const js = client.jetstream(connection);
    const wanted = this.#configuration();
    let info = await manager.streams.info(this.#name).catch((error: unknown) => {
      if (codeOf(error) === CODES.streamNotFound) return undefined;
      throw error;
    });
    if (info && info.config.description !== wanted.description) {
      await manager.streams.delete(this.#name);
      info = undefined;
    }
    info =
      info === undefined
        ? await manager.streams.add(wanted)
        : await manager.streams.update(this.#name, wanted);
    this.start = Math.max(info.state.first_seq, 1);
    const end = info.state.last_seq + 1;
    if (this.#following === undefined) this.end = end;
    // What came while nobody listened is told of now.
    else if (end < this.end) {
      this.hasLost({ end });
      this.end = end;
    }
    this.bytes = info.state.bytes;
    this.#session = { connection, js, manager };
    this.#following ??= this.#follow();
  }

  update(spec: StreamSpec): void {
    const before = JSON.stringify(this.#configuration());
    const moved = movedFrom(this.spec, spec);
    this.spec = spec;
    if (moved) {
      this.#move();
      return;
    }
    const wanted = this.#configuration();
    if (JSON.stringify(wanted) !== before)
      this.#session?.manager.streams
        .update(this.#name, wanted)
        .catch((error: unknown) => this.warn('the limits of a stream could not be changed', error));
  }

  /** Reached in another way from now on: the next connection is that. */
  #move(): void {
    try {
      this.#settings = settingsOf(this.spec, FIELDS);
    } catch (error) {
      this.around.report(this.spec.key, lost(error as PetrelError));
      return;
    }
    this.#session?.connection.close().catch(() => {});
  }

  async append(
    record: Buffer,
    _at: number,
    dedupKey?: string,
  ): Promise<{ offset: number; duplicate: boolean }> {
    const session = this.#session;
    if (session === undefined || this.closing.signal.aborted)
      throw unreachable(this.place, new Error('there is no connection'));
    // A digest: keys may have any length, headers may not.
    const msgID =
      dedupKey === undefined || this.spec.dedupMs === 0
        ? undefined
        : createHash('sha256').update(dedupKey).digest('base64url');
    try {
      const { seq, duplicate } = await session.js.publish(this.#subject, record, {
        timeout: ACK_MS,
        ...(msgID === undefined ? {} : { msgID }),
      });
      return { offset: seq, duplicate };
    } catch (error) {
      const code = codeOf(error);
      if (code !== undefined && CODES.full.has(code))
        throw new PetrelError('DiskFull', `${this.spec.key} is full`, {
          why: messageOf(error),
          fix: 'See which subscription is behind (petrel trigger list), or give JetStream more room.',
          cause: error,
        });
      throw unreachable(this.place, error);
    }
  }

  protected async readCold(from: number, maxBytes: number): Promise<Entry[]> {
    const found: Entry[] = [];
    let bytes = 0;
    await this.#each({ opt_start_seq: from }, Math.min(READ_MESSAGES, this.end - from), (message) => {
      found.push(entryOf(message));
      bytes += message.data.length;
      return bytes < maxBytes && message.seq + 1 < this.end;
    });
    return found;
  }

  /** Messages from a place on, until `more` is false or there are none. */
  async #each(
    from: { opt_start_seq?: number; opt_start_time?: string },
    most: number,
    more: (message: JsMsg) => boolean,
  ): Promise<void> {
    const session = this.#session;
    if (session === undefined) throw unreachable(this.place, new Error('there is no connection'));
    const consumer = await session.js.consumers.get(this.#name, from);
    try {
      for await (const message of await consumer.fetch({ max_messages: most, expires: 2000 }))
        if (!more(message)) break;
    } finally {
      consumer.delete().catch(() => {}); // it goes by itself after a while
    }
  }

  async seek(at: number): Promise<number> {
    let found = this.end;
    await this.#each({ opt_start_time: new Date(at).toISOString() }, 1, ({ seq }) => {
      found = seq;
      return false;
    });
    return found;
  }

  /** Takes away what nobody needs and is too old or too much. */
  protected async retain(): Promise<void> {
    const { manager } = this.#session ?? {};
    if (manager === undefined) return;
    const { state } = await manager.streams.info(this.#name);
    this.bytes = state.bytes;
    this.start = Math.max(state.first_seq, 1);
    if (state.messages === 0) return;
    const old = this.around.clock.now() - this.spec.maxAgeMs;
    const young = Date.parse(String(state.first_ts)) < old ? await this.seek(old) : this.start;
    // Events of one stream are about alike.
    const first = this.firstKept(young, state.bytes / state.messages);
    if (first <= this.start) return;
    await manager.streams.purge(this.#name, { seq: first });
    this.start = first;
  }

  /** Tells of what is appended, by whomever, in order; through lost connections. */
  async #follow(): Promise<void> {
    const { clock, report } = this.around;
    const { signal } = this.closing;
    const { key } = this.spec;
    let away = false;
    while (!signal.aborted) {
      try {
        if (this.#session === undefined) await this.begin();
        if (away) report(key, OPEN);
        away = false;
        if (this.#session !== undefined) await this.#listen(this.#session);
      } catch (error) {
        if (signal.aborted) return;
        if (!away) this.warn('the connection to a store of events is lost', error);
        if (this.#session === undefined) {
          report(key, lost(unreachable(this.place, error)));
          away = true;
        }
      }
      if (signal.aborted) return;
      const { connection } = this.#session ?? {};
      this.#session = undefined;
      await connection?.close().catch(() => {});
      await sleep(clock, AGAIN_MS, signal);
    }
  }

  async #listen({ connection, js }: { connection: NatsConnection; js: JetStreamClient }): Promise<void> {
    const consumer = await js.consumers.get(this.#name, { opt_start_seq: this.end });
    const messages = await consumer.consume({ max_messages: 500 });
    connection.closed().then(
      () => messages.stop(),
      () => messages.stop(),
    );
    this.closing.signal.addEventListener('abort', () => messages.stop(), { once: true });
    let batch: Entry[] = [];
    const flush = () => {
      const entries = batch;
      batch = [];
      this.heard(entries);
    };
    for await (const message of messages) {
      if (message.seq < this.end) continue;
      if (batch.length === 0) setImmediate(flush);
      batch.push(entryOf(message));
      this.bytes += message.data.length;
      this.end = message.seq + 1;
    }
    flush();
  }

  async close(drop: boolean): Promise<void> {
    const session = this.#session;
    this.closing.abort();
    if (drop)
      await session?.manager.streams
        .delete(this.#name)
        .catch((error: unknown) => this.warn('a stream could not be taken away', error));
    await session?.connection.close().catch(() => {});
    this.#cut.abort();
    await this.#following;
  }
}

const entryOf = (message: JsMsg): Entry => ({
  offset: message.seq,
  at: Math.floor(message.info.timestampNanos / NANOS),
  // The client's buffer holds whatever came with it.
  record: Buffer.from(message.data),
});
