/**
 * Follows one kind of object from where it was left. What happened while nobody looked is told afterwards, from the API's history or, where
 * that does not reach back, from what was known: also what has gone meanwhile.
 */
import { type Clock, sleep } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { UntypedObject } from '../../../kinds/object.ts';
import { backoffDelay } from '../../../kube/backoff.ts';
import { type KubeClient, KubeError, type ResourceRef } from '../../../kube/client.ts';
import type { What } from './changes.ts';

/** What is followed. */
export interface Followed {
  resource: ResourceRef;
  /** Absent: all namespaces, or a kind without. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

/** How far it was told; JSON. */
export interface Place {
  /** Empty: the API's history does not reach back so far; a list comes first. */
  version: string;
  /** `<namespace>/<name>` → `<uid> <resourceVersion>` of what was there. */
  known: Record<string, string>;
}

export interface FollowOptions {
  client: KubeClient;
  clock: Clock;
  random(): number;
  what: Followed;
  /** Absent: it begins now. */
  place: Place | undefined;
  /** Where it begins now: objects made at or after that time are told as added, others are only known. Milliseconds since the epoch. */
  since: number;
  /** Of what passes, changes are told. */
  wanted(object: UntypedObject): boolean;
  /** Resolves when it is safe; the next is told after that. */
  tell(what: What, object: UntypedObject): Promise<void>;
  /** How it goes: absent is well. */
  state(problem: string | undefined): void;
  signal: AbortSignal;
}

const PAGE = 500;
const BACKOFF = { baseMs: 100, maxMs: 30_000 };
/** A watch that lived this long was a healthy one, even if nothing happened. */
const HEALTHY_MS = 10_000;

const keyOf = ({ metadata }: UntypedObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;
const markOf = ({ metadata }: UntypedObject): string =>
  `${metadata.uid ?? ''} ${metadata.resourceVersion ?? ''}`;
const uidOf = (mark: string): string => mark.split(' ')[0] ?? '';

export class Follow {
  readonly #options: FollowOptions;
  readonly #known: Map<string, string>;
  /** Absent: a list comes first. */
  #version: string | undefined;
  /** Whether there was a list before. */
  #begun: boolean;
  readonly ended: Promise<void>;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#known = new Map(Object.entries(options.place?.known ?? {}));
    this.#version = options.place?.version || undefined;
    this.#begun = options.place !== undefined;
    this.ended = this.#run();
  }

  /** Absent: nothing is known yet. */
  get place(): Place | undefined {
    return this.#begun ? { version: this.#version ?? '', known: Object.fromEntries(this.#known) } : undefined;
  }

  get size(): number {
    return this.#known.size;
  }

  get #scope(): { namespace?: string; labelSelector?: string; fieldSelector?: string } {
    const { resource: _, ...scope } = this.#options.what;
    return scope;
  }

  async #run(): Promise<void> {
    const { clock, random, signal, state } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (this.#version === undefined) await this.#list();
        if (signal.aborted) return;
        const since = clock.monotonic();
        if ((await this.#watch()) || clock.monotonic() - since > HEALTHY_MS) {
          failures = 0;
          continue;
        }
        failures++;
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        if (error instanceof KubeError && (error.code === 410 || error.reason === 'Expired')) {
          this.#version = undefined;
          if (failures === 1) continue;
        } else state(messageOf(error));
      }
      await sleep(clock, backoffDelay(failures, { ...BACKOFF, random }), signal);
    }
  }

  /** True when something came. */
  async #watch(): Promise<boolean> {
    const { client, what, signal, state } = this.#options;
    const events = client.watch<UntypedObject>(what.resource, {
      ...this.#scope,
      ...(this.#version !== undefined && { resourceVersion: this.#version }),
      allowWatchBookmarks: true,
      signal,
    });
    let came = false;
    state(undefined);
    for await (const event of events) {
      if (signal.aborted) return true;
      came = true;
      if (event.type === 'ERROR') {
        const { code = 500, reason = 'Unknown', message = '' } = event.object;
        throw new KubeError(code, reason, message, event.object);
      }
      if (event.type === 'DELETED') await this.#gone(event.object);
      else if (event.type !== 'BOOKMARK') await this.#seen(event.object, event.type === 'ADDED');
      if (signal.aborted) return true;
      this.#version = event.object.metadata.resourceVersion ?? this.#version;
    }
    return came;
  }

  async #seen(object: UntypedObject, isNew: boolean): Promise<void> {
    const { wanted, tell, signal } = this.#options;
    if (!wanted(object)) return;
    const key = keyOf(object);
    const [before, now] = [this.#known.get(key), markOf(object)];
    if (before === now) return;
    // Deleted and made again while nobody watched.
    if (before !== undefined && uidOf(before) !== uidOf(now)) await this.#missed(key, before);
    const told = this.#known.has(key) || !isNew ? 'update' : 'add';
    await tell(told, object);
    if (!signal.aborted) this.#known.set(key, now);
  }

  async #gone(object: UntypedObject): Promise<void> {
    const { wanted, tell, signal } = this.#options;
    const key = keyOf(object);
    if (!this.#known.has(key) && !wanted(object)) return;
    await tell('delete', object);
    if (!signal.aborted) this.#known.delete(key);
  }

  /** Tells of a deletion that nobody saw: all that is left of the object is its name. */
  async #missed(key: string, mark: string): Promise<void> {
    const { what, tell, signal } = this.#options;
    const { group, version, kind } = what.resource;
    const slash = key.indexOf('/');
    const namespace = key.slice(0, slash);
    const [uid = '', resourceVersion = ''] = mark.split(' ');
    await tell('delete', {
      apiVersion: group === '' ? version : `${group}/${version}`,
      kind,
      metadata: { name: key.slice(slash + 1), ...(namespace && { namespace }), uid, resourceVersion },
    } as UntypedObject);
    if (!signal.aborted) this.#known.delete(key);
  }

  /** Everything there is, and where the watch goes on. */
  async #all(): Promise<{ items: UntypedObject[]; version: string }> {
    const { client, what } = this.#options;
    const items: UntypedObject[] = [];
    let page = await client.list<UntypedObject>(what.resource, { ...this.#scope, limit: PAGE });
    const version = page.resourceVersion;
    for (;;) {
      items.push(...page.items);
      if (!page.continue) return { items, version };
      try {
        page = await client.list(what.resource, { ...this.#scope, limit: PAGE, continue: page.continue });
      } catch (error) {
        if (!(error instanceof KubeError) || error.code !== 410) throw error;
        // The snapshot of the first page is gone: one whole list is the consistent alternative.
        const whole = await client.list<UntypedObject>(what.resource, this.#scope);
        return { items: whole.items, version: whole.resourceVersion };
      }
    }
  }

  async #list(): Promise<void> {
    const { what, since, wanted, signal } = this.#options;
    const { group, version, kind } = what.resource;
    const apiVersion = group === '' ? version : `${group}/${version}`;
    const { items, version: at } = await this.#all();
    const there = new Set(items.map(keyOf));
    for (const [key, mark] of [...this.#known]) {
      if (signal.aborted) return;
      if (!there.has(key)) await this.#missed(key, mark);
    }
    for (const item of items) {
      if (signal.aborted) return;
      const object = { ...item, apiVersion, kind };
      const old = Date.parse(object.metadata.creationTimestamp ?? '') < since;
      if (!this.#begun && old) {
        if (wanted(object)) this.#known.set(keyOf(object), markOf(object));
      } else await this.#seen(object, true);
    }
    if (signal.aborted) return;
    this.#version = at;
    this.#begun = true;
  }
}
