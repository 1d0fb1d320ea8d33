/** What is to be written to a topic: what comes while requests are under way goes together in the next. */
import { PetrelError } from '../../../base/errors.ts';
import { saying } from '../../connectors/persist.ts';
import type { Message } from './kafka-records.ts';
import { answered, type Topic } from './kafka-topic.ts';

/** One request's events. A topic's `max.message.bytes` is of a request's events together. */
const BATCH = { messages: 1000, bytes: 512 * 1024 };
/** Requests under way at once. */
const REQUESTS = 2;

interface Waiting {
  message: Message;
  bytes: number;
  resolve(offset: number): void;
  reject(error: unknown): void;
}

export const unreachable = (place: string, error: unknown): PetrelError =>
  new PetrelError('NotReady', `${place} does not keep events now`, {
    why: saying(error),
    fix: 'Start it, or correct the configuration that the Broker names.',
    cause: error,
  });

export class TopicWriter {
  readonly #topic: () => Topic;
  readonly #place: () => string;
  readonly #queue: Waiting[] = [];
  #requests = 0;
  #bytes = 0;

  /** Both may change. `place`: what Kafka is called in messages. */
  constructor(topic: () => Topic, place: () => string) {
    this.#topic = topic;
    this.#place = place;
  }

  /** On the way, bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves with the offset when it is there. Rejects with `PetrelError`: `NotReady`, `DiskFull`, `InvalidArgument` (too large for Kafka). */
  write(message: Message, bytes: number): Promise<number> {
    this.#bytes += bytes;
    return new Promise<number>((resolve, reject) => {
      this.#queue.push({ message, bytes, resolve, reject });
      if (this.#queue.length === 1) setImmediate(() => this.#flush());
    });
  }

  #flush(): void {
    while (this.#queue.length > 0 && this.#requests < REQUESTS) {
      const batch = this.#take();
      this.#requests++;
      this.#topic()
        .send(batch.map(({ message }) => message))
        .then(
          (first) => {
            for (const [i, { bytes, resolve }] of batch.entries()) {
              this.#bytes -= bytes;
              resolve(first + i);
            }
          },
          (error: unknown) => this.#failed(batch, error),
        )
        .finally(() => {
          this.#requests--;
          this.#flush();
        });
    }
  }

  #take(): Waiting[] {
    let count = 0;
    for (let bytes = 0; count < this.#queue.length && count < BATCH.messages; count++) {
      bytes += this.#queue[count]?.bytes ?? 0;
      if (bytes > BATCH.bytes && count > 0) break;
    }
    return this.#queue.splice(0, count);
  }

  #failed(batch: Waiting[], error: unknown): void {
    const large = answered(error, 'MESSAGE_TOO_LARGE');
    // Who leads now may be another; what waited meanwhile would wait as long again.
    if (!large) this.#topic().lookAgain();
    const reason = this.#refusal(error);
    for (const { bytes, reject } of large ? batch : [...batch, ...this.#queue.splice(0)]) {
      this.#bytes -= bytes;
      reject(reason);
    }
  }

  #refusal(error: unknown): PetrelError {
    const refused = { why: saying(error), cause: error };
    if (answered(error, 'MESSAGE_TOO_LARGE'))
      return new PetrelError('InvalidArgument', 'the event is larger than Kafka takes', refused);
    if (answered(error, 'KAFKA_STORAGE_ERROR'))
      return new PetrelError('DiskFull', `${this.#place()} has no room`, refused);
    return unreachable(this.#place(), error);
  }
}
