/** Sources that work outside of the engine, because they need the API; their events and checkpoints come through here. */
import { PetrelError } from '../../base/errors.ts';
import { decodeRecord } from '../../cloudevents/record.ts';
import type { Json } from '../../kinds/object.ts';
import type { Handed, SourceContext, SourceModule } from './contract.ts';

type Context = SourceContext<Record<string, Json>>;

/** Their type, which nobody writes. */
export const BROUGHT = 'brought';

export class BroughtSources {
  /** By key; waits for a source that has not begun. */
  readonly #contexts = new Map<string, PromiseWithResolvers<Context>>();

  readonly module: SourceModule = {
    type: BROUGHT,
    durable: 'own',
    check: () => [],
    start: async (context) => {
      const mine = this.#slot(context.key);
      mine.resolve(context);
      return {
        stop: async () => {
          if (this.#contexts.get(context.key) === mine) this.#contexts.delete(context.key);
        },
      };
    },
  };

  #slot(key: string): PromiseWithResolvers<Context> {
    let slot = this.#contexts.get(key);
    if (slot === undefined) {
      slot = Promise.withResolvers();
      this.#contexts.set(key, slot);
    }
    return slot;
  }

  /** See `EngineControl.bring`. */
  async bring(key: string, record: Uint8Array): Promise<Handed> {
    const { buffer, byteOffset, byteLength } = record;
    const context = await this.#slot(key).promise;
    try {
      return await context.emit(decodeRecord(Buffer.from(buffer, byteOffset, byteLength)));
    } catch (cause) {
      if (!context.signal.aborted) throw cause;
      throw new PetrelError('NotReady', 'the source is being stopped', { cause });
    }
  }

  async checkpoint(key: string): Promise<Json | undefined> {
    return (await this.#slot(key).promise).checkpoint() as Json | undefined;
  }

  async saveCheckpoint(key: string, value: Json): Promise<void> {
    await (await this.#slot(key).promise).saveCheckpoint(value);
  }
}
