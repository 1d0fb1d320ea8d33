/** What a source is given, for tests of one: events are kept, state is what was saved, and time is the test's or the machine's. */
import { type Clock, systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import type { Json } from '../../kinds/object.ts';
import type { Handed, RunningSource, SourceContext, SourceModule } from '../sources/contract.ts';

export class SourceWorld {
  readonly sent: CloudEvent[] = [];
  /** `<ready> <reason>`, each once. */
  readonly reports: string[] = [];
  saved: Json | undefined;
  /** What becomes of an event. */
  handed: (event: CloudEvent) => Promise<Handed> = async () => 'accepted';
  readonly clock: Clock;
  #stop = new AbortController();
  #running: RunningSource | undefined;
  #waiting = new Set<() => void>();

  constructor(clock: Clock = systemClock, saved?: Json) {
    this.clock = clock;
    this.saved = saved;
  }

  async start<Config>(
    module: SourceModule<Config>,
    config: Config,
    more: Partial<SourceContext<Config>> = {},
  ): Promise<RunningSource> {
    this.#stop = new AbortController();
    let id = 0;
    this.#running = await module.start({
      key: 'eventsource/default/mine',
      namespace: 'default',
      name: 'mine',
      config,
      dir: '/nowhere',
      emit: async (event) => {
        this.sent.push(event);
        this.#tell();
        return this.handed(event);
      },
      checkpoint: () => this.saved,
      saveCheckpoint: async (value) => {
        this.saved = JSON.parse(JSON.stringify(value));
        this.#tell();
      },
      report: ({ ready, reason }) => {
        const said = `${ready} ${reason}`;
        if (this.reports.at(-1) !== said) this.reports.push(said);
        this.#tell();
      },
      clock: this.clock,
      random: () => 0.5,
      uuid: () => `u${++id}`,
      log: silentLogger,
      signal: this.#stop.signal,
      ...more,
    });
    return this.#running;
  }

  /** Resolves when it holds; looked at whenever the source does something. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  #tell(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running?.stop(1000);
  }
}
