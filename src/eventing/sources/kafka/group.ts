/**
 * A member of a consumer group that keeps its partitions until what it has begun of them is resolved and committed. The client gives a
 * partition back as soon as the coordinator asks for it, and would make whoever gets it repeat what is under way here.
 */
import type { API, Callback, Consumer, ConsumerOptions } from '../../../clients/kafka/index.ts';

type Client = typeof import('../../../clients/kafka/index.ts');
export type Options = ConsumerOptions<Buffer, Buffer, Buffer, Buffer>;

export interface MemberHooks {
  /** Partitions are about to change: resolves when what has begun is resolved and committed, or has taken too long. */
  settle(): Promise<void>;
  /** The partitions, as `topic:partition`, whenever they change. */
  assigned(partitions: ReadonlySet<string>): void;
}

/**
 * Partitions change in two steps, which this holds up until `settle` is done: with KIP-848 the client looks up the topics' metadata before
 * it tells the coordinator of what it has left (`kMetadata`); with the classic protocol it joins anew (`JoinGroup`). Both ways are those of
 * the pinned version; the test of rebalances says whether they still are.
 */
export function createMember(client: Client, options: Options, hooks: MemberHooks): Consumer {
  let settling: Promise<void> | undefined;
  /** The next look-up of metadata in this turn of the event loop is the one that gives partitions back; all others, a commit's too, go on. */
  let giving = false;
  const later = (go: () => void) => {
    if (settling === undefined) go();
    else void settling.then(go);
  };
  class Member extends client.Consumer {
    override [client.kMetadata](...args: Parameters<Consumer[typeof client.kMetadata]>) {
      if (!giving) return super[client.kMetadata](...args);
      giving = false;
      later(() => super[client.kMetadata](...args));
    }
    override [client.kGetApi]<A extends unknown[], R>(name: string, callback: Callback<API<A, R>>) {
      if (name === 'JoinGroup') later(() => super[client.kGetApi](name, callback));
      else super[client.kGetApi](name, callback);
    }
  }
  const consumer = new Member(options);
  consumer.on('consumer:group:rebalance', () => {
    settling ??= hooks.settle().finally(() => {
      settling = undefined;
    });
    giving = true;
    queueMicrotask(() => {
      giving = false;
    });
  });
  let assignments = consumer.assignments;
  Object.defineProperty(consumer, 'assignments', {
    get: () => assignments,
    set(value: typeof assignments) {
      assignments = value;
      hooks.assigned(
        new Set((value ?? []).flatMap(({ topic, partitions }) => partitions.map((p) => `${topic}:${p}`))),
      );
    },
  });
  return consumer;
}
