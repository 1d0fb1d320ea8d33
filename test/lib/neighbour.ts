/** A function under steady load that must notice nothing of what its neighbours do. */
import assert from 'node:assert/strict';
import { failures, startLoad, summary } from '../../bench/lib/open-loop.ts';
import type { Petrel, Scratch, Status } from './platform.ts';

const REQUESTS_PER_SECOND = 20;

export class Neighbour {
  /** The function's name, in the namespace `default`. */
  static readonly NAME = 'neighbour';
  readonly #petrel: Petrel;
  readonly #platform: Status;
  #load: ReturnType<typeof startLoad> | undefined;

  private constructor(petrel: Petrel, platform: Status) {
    this.#petrel = petrel;
    this.#platform = platform;
  }

  /** One that always has an instance, and nothing to do yet. */
  static async deploy(petrel: Petrel, platform: Status, scratch: Scratch): Promise<Neighbour> {
    const file = `${Neighbour.NAME}.mjs`;
    scratch.write({ [file]: 'export default { fetch: () => new Response("hello") };' });
    await petrel.deploy(scratch.path(file), '--min', '1');
    return new Neighbour(petrel, platform);
  }

  /** Requests come from now on, for five minutes at most. */
  load(): void {
    const [host = '', port] = this.#platform.gateway.split(':');
    this.#load = startLoad({
      host,
      port: Number(port),
      name: `${Neighbour.NAME}.default.localhost`,
      requestsPerSecond: REQUESTS_PER_SECOND,
      seconds: 300,
    });
  }
  stop(): void {
    this.#load?.stop();
  }

  /** Ends the load: every request was answered, by the platform that there was at the beginning. */
  async noticedNothing(): Promise<void> {
    const load = this.#load;
    assert.ok(load, 'there was load');
    load.stop();
    const result = await load.done;
    assert.ok(result.sent > REQUESTS_PER_SECOND);
    assert.equal(failures(result), 0, `${summary(result)}${this.#petrel.log()}`);
    assert.equal((await this.#petrel.status()).pid, this.#platform.pid);
  }
}
