/**
 * The workers of a gateway: started on one address, replaced when they die, and replaced one by one without losing a
 * request when that is asked for. A replacement listens before the one it stands for stops listening.
 */
import type { Logger } from '../base/log.ts';
import { MAX_WORKERS } from './counters.ts';
import type { GatewayLimits } from './limits.ts';
import { LocalLink, type PlaneLink, WorkerLink } from './links.ts';
import { probe } from './listening.ts';
import type { PlaneCommand, PlaneEvents } from './plane.ts';
import type { GatewayIdentity } from './policy/around.ts';

/** Delay before a worker that died again and again is replaced, milliseconds. */
const RESTART_MS = [0, 100, 1000];

export interface WorkersOptions {
  host: string;
  limits: GatewayLimits;
  identity: GatewayIdentity;
  log: Logger;
  /** Everything a new worker has to know. */
  state(): Iterable<PlaneCommand>;
  events(index: number): PlaneEvents;
  /** The worker has ended, planned or not: whatever it held in counters and rows is to be given back. */
  gone(index: number, link: PlaneLink): void;
}

export class Workers {
  address: { host: string; port: number };
  readonly #options: WorkersOptions;
  readonly #channel = `petrel-gateway-${process.pid}-${Math.random().toString(36).slice(2)}`;
  /** By index, which is also the worker's cell in shared counters. */
  readonly #links: (PlaneLink | null)[] = [];
  /** Deaths in a row, by index. */
  readonly #deaths: number[] = [];
  /** What no longer takes connections, until it has ended. */
  readonly #leaving = new Set<PlaneLink>();
  #threads = true;
  /** Whether the system lets several listeners share the address. */
  #sharing = true;
  #restarting: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: WorkersOptions, port: number) {
    this.#options = options;
    this.address = { host: options.host, port };
  }

  /** By index; null where none runs. */
  get links(): readonly (PlaneLink | null)[] {
    return this.#links;
  }

  /** Workers that take connections. */
  get count(): number {
    return this.#links.length - this.#links.filter((l) => l === null || this.#leaving.has(l)).length;
  }

  broadcast(command: PlaneCommand): void {
    for (const link of this.#links) link?.send(command);
  }

  /** Starts `count` threads, or with 0 one worker in this thread. Rejects when the address cannot be had. */
  async start(count: number): Promise<void> {
    const { host, port } = this.address;
    this.#threads = count > 0;
    if (port !== 0) await probe(host, port);
    try {
      await this.#startWorker(0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTSUP') throw error;
      this.#sharing = false;
      await this.#startWorker(0);
      return;
    }
    await Promise.all(Array.from({ length: count - 1 }, (_, i) => this.#startWorker(i + 1)));
  }

  async #startWorker(index: number): Promise<PlaneLink> {
    const { limits, identity, log } = this.#options;
    const events = this.#options.events(index);
    const link = this.#threads
      ? new WorkerLink(index, limits, identity, log, events, this.#channel)
      : new LocalLink(index, limits, identity, log, events);
    link.onExit = () => this.#exited(index, link);
    // the state goes first, so that the first request it accepts finds it
    for (const command of this.#options.state()) link.send(command);
    this.#links[index] = link;
    try {
      this.address = await link.listen(this.#options.host, this.address.port, this.#sharing);
    } catch (error) {
      if (this.#links[index] === link) this.#links[index] = null;
      throw error;
    }
    return link;
  }

  #exited(index: number, link: PlaneLink): void {
    if (this.#closed || this.#links[index] !== link) return;
    this.#links[index] = null;
    this.#options.gone(index, link);
    if (this.#leaving.delete(link)) return;
    const attempt = this.#deaths[index] ?? 0;
    this.#deaths[index] = attempt + 1;
    const delay = RESTART_MS[Math.min(attempt, RESTART_MS.length - 1)]!;
    this.#options.log.error('a gateway worker died and is replaced', { worker: index, delay });
    setTimeout(() => {
      if (this.#closed) return;
      this.#startWorker(index).then(
        () => {
          this.#deaths[index] = 0;
        },
        (error: Error) => this.#options.log.error('worker start', { worker: index, error: error.message }),
      );
    }, delay);
  }

  /**
   * Replaces every worker by a new one. Resolves when the new ones have taken over: who connects then is theirs. An old one goes on with the
   * connections it has, which are told to go elsewhere with their next answer, for up to `graceMs`.
   */
  restart(graceMs: number): Promise<void> {
    const next = this.#restarting.then(() => this.#replaceAll(graceMs));
    this.#restarting = next.catch(() => {});
    return next;
  }

  async #replaceAll(graceMs: number): Promise<void> {
    if (!this.#sharing) throw new Error('this system has no shared listeners: workers cannot be replaced');
    const old = this.#links.filter((link) => link !== null && !this.#leaving.has(link)) as PlaneLink[];
    for (const link of old) {
      if (this.#closed) return;
      const free = await this.#freeIndex();
      if (!this.#links.includes(link)) continue; // it died meanwhile and was replaced
      const made = await this.#startWorker(free);
      const leaving = this.#links.includes(link) ? link : made;
      this.#leave(leaving, graceMs);
      // Until then the system gives it connections, and it may cut them at once.
      await leaving.deaf;
    }
  }

  #leave(link: PlaneLink, graceMs: number): void {
    const index = this.#links.indexOf(link);
    this.#leaving.add(link);
    void link.close(graceMs, true).then(() => this.#exited(index, link));
  }

  /** A counter cell that nobody uses; with many workers leaving, the one that is free first. */
  async #freeIndex(): Promise<number> {
    for (;;) {
      for (let i = 0; i < MAX_WORKERS; i++)
        if ((this.#links[i] ?? null) === null && !this.#deaths[i]) return i;
      const [longest] = this.#leaving;
      if (longest === undefined) throw new Error('no place for another gateway worker');
      await longest.close(0);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#links.map((link) => link?.close(graceMs)));
  }
}
