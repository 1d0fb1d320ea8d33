/**
 * The Pods of the pools as living things: created through the API, linked by their control connection, given up when they do not
 * start or crash again and again, deleted when nobody owns them. A Pod with our label that no member stands for is a leak and goes.
 */
import { existsSync } from 'node:fs';
import type { Clock, Timer } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { FUNCTION_LABELS } from '../../kinds/function.ts';
import type { Pod } from '../../kinds/pod.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { createController } from '../../kube/controller.ts';
import { keyOf, type ObjectKey, splitKey } from '../../kube/indexed-store.ts';
import { createInformer } from '../../kube/informer.ts';
import { PODS } from '../../kube/refs.ts';
import type { InstanceChannel, InstanceEvent } from '../instance-channel.ts';
import type { Link, SocketWatcher } from './link.ts';
import { killedForMemory } from './memory-kills.ts';
import { startProblem } from './pods.ts';
import type { Ports } from './ports.ts';

/** From creating a Pod, or from a crash, until its instance must be reachable, ms. */
const COME_UP_MS = 30_000;
/** This many crashes within the window and the Pod is given up. */
const CRASHES = { count: 3, windowMs: 60_000 };
/** How long a socket found at start may take to answer, ms. */
const SURVIVOR_MS = 300;

export type MakePod = (name: string) => Pod;

/** Who is told what becomes of a member. Called asynchronously, never from within `create`. */
export interface MemberOwner {
  /** Reachable, for the first time or again after a crash. */
  warm(channel: InstanceChannel): void;
  /** Crashed; its Pod will restart it. `told`: the instance itself has said why, so user code broke it. */
  cold(reason: string, told: boolean): void;
  /** Will not come back. `refusal`: the API refuses its Pod, for example on account of a quota. */
  gone(reason: string, refusal?: KubeError): void;
}

/** One Pod of ours. */
export interface Member {
  readonly key: ObjectKey;
  readonly runtime: string;
  readonly namespace: string;
  readonly name: string;
  /** The Pod as created; undefined until the API has answered. */
  pod: Pod | undefined;
  owner: MemberOwner;
  channel: InstanceChannel | undefined;
  /** A port of its own for a program. */
  port: number | undefined;
}

interface Entry extends Member {
  link: Link | undefined;
  timer: Timer | undefined;
  crashes: number[];
  lastWords: string;
  /** When it was last ended for memory, as far as has been told. */
  killedAt: string | undefined;
  dead: boolean;
}

/** Uid of a member whose instance is reachable. */
export function uidOf(member: Member): string {
  return member.pod?.metadata.uid ?? '';
}

export interface Members {
  /** Creates a Pod and follows it. */
  create(runtime: string, name: string, make: MakePod, owner: MemberOwner): Member;
  /** Deletes the member's Pod; its owner hears nothing of it. Idempotent. */
  discard(member: Member, graceSeconds: number): void;
  /** The member ends its connection by agreement: only the end of its Pod is told from now on. */
  rest(member: Member): void;
  /** Path of a member's socket. */
  socket(member: Member): string;
  /** Begins to follow Pods. */
  start(): void;
  /** Sorts out the Pods that are there: those whose instance still lives become members, all others of ours are deleted. */
  takeOver(survivor: (member: Member, pod: Pod) => Promise<boolean>): Promise<void>;
  stop(): Promise<void>;
}

export interface MembersOptions {
  client: KubeClient;
  sockets: SocketWatcher;
  ports: Ports;
  clock: Clock;
  log: Logger;
  /** An instance was ended because it used more memory than it may. */
  onMemoryKill?(pod: Pod): void;
}

const IGNORE: MemberOwner = { warm() {}, cold() {}, gone() {} };

export function createMembers(options: MembersOptions): Members {
  const { client, sockets, ports, clock, log } = options;
  const entries = new Map<ObjectKey, Entry>();
  /** Discarded, but their process may still be draining: it must not think that its platform is gone. */
  const dying = new Map<ObjectKey, { link: Link | undefined; grace: number }>();
  let stopped = false;

  const pods = createInformer<Pod>({
    client,
    resource: PODS,
    labelSelector: FUNCTION_LABELS.runtime,
    log,
    clock,
  });

  /** Deletes a Pod that no member stands for. */
  const reaper = createController({
    name: 'pool-pods',
    log,
    clock,
    async reconcile(key) {
      const { namespace, name } = splitKey(key);
      const pod = pods.get(namespace, name);
      if (pod === undefined || entries.has(key) || pod.metadata.deletionTimestamp !== undefined)
        return undefined;
      const grace = dying.get(key)?.grace ?? 0;
      await client
        .delete(PODS, namespace, name, {
          gracePeriodSeconds: grace,
          preconditions: { uid: pod.metadata.uid ?? '' },
        })
        .catch((error) => {
          if (!(error instanceof KubeError) || error.code !== 404) throw error;
        });
      return undefined;
    },
  });

  const newEntry = (runtime: string, pod: Pod, owner: MemberOwner): Entry => ({
    key: keyOf(pod),
    runtime,
    namespace: pod.metadata.namespace ?? 'default',
    name: pod.metadata.name,
    pod: undefined,
    owner,
    channel: undefined,
    port: undefined,
    link: undefined,
    timer: undefined,
    crashes: [],
    lastWords: '',
    killedAt: killedForMemory(pod),
    dead: false,
  });

  const bury = (entry: Entry, grace: number): void => {
    if (entry.dead) return;
    entry.dead = true;
    entry.timer?.cancel();
    if (entry.port !== undefined) ports.give(entry.port);
    entries.delete(entry.key);
    if (entry.pod !== undefined) dying.set(entry.key, { link: entry.link, grace });
    reaper.enqueue(entry.key);
  };

  const giveUp = (entry: Entry, reason: string, grace = 0, refusal?: KubeError): void => {
    if (entry.dead) return;
    const { owner } = entry;
    bury(entry, grace);
    owner.gone(reason, refusal);
  };

  const mustComeUp = (entry: Entry, what: string): void => {
    entry.timer?.cancel();
    entry.timer = clock.after(COME_UP_MS, () => {
      const pod = pods.get(entry.namespace, entry.name);
      giveUp(
        entry,
        (pod && startProblem(pod)) ?? `${what} and was not reachable within ${COME_UP_MS / 1000} s`,
      );
    });
  };

  const follow = (entry: Entry): void => {
    entry.link = sockets.link(uidOf(entry), {
      up(channel) {
        if (entry.dead) return;
        entry.timer?.cancel();
        entry.channel = channel;
        entry.owner.warm(channel);
      },
      down(ended) {
        entry.channel = undefined;
        if (entry.dead) return;
        const told = entry.lastWords !== '';
        const reason = told ? entry.lastWords : ended;
        entry.lastWords = '';
        const now = clock.monotonic();
        entry.crashes = [...entry.crashes.filter((at) => now - at < CRASHES.windowMs), now];
        if (entry.crashes.length >= CRASHES.count) {
          return giveUp(entry, `it crashed ${CRASHES.count} times within a minute, last with: ${reason}`);
        }
        mustComeUp(entry, 'it crashed');
        entry.owner.cold(reason, told);
      },
      event: (event) => {
        if (event.event === 'failed') entry.lastWords = lastWordsOf(event);
      },
    });
  };

  const bring = async (entry: Entry, manifest: Pod): Promise<void> => {
    const [created, port] = await Promise.allSettled([client.create<Pod>(PODS, manifest), ports.take()]);
    if (port.status === 'fulfilled') {
      if (entry.dead) ports.give(port.value);
      else entry.port = port.value;
    }
    if (created.status === 'rejected') {
      const error: unknown = created.reason;
      const refusal = error instanceof KubeError && error.code === 403 ? error : undefined;
      return giveUp(entry, `its Pod could not be created: ${(error as Error).message}`, 0, refusal);
    }
    entry.pod = created.value;
    if (entry.dead || stopped) return reaper.enqueue(entry.key);
    follow(entry);
  };

  /** The first that is heard of a Pod may already be its trouble: the informer tells the latest state, not each. */
  const seen = (pod: Pod): void => {
    const entry = entries.get(keyOf(pod));
    const killedAt = entry && killedForMemory(pod);
    if (entry !== undefined && killedAt !== undefined && killedAt !== entry.killedAt) {
      entry.killedAt = killedAt;
      options.onMemoryKill?.(pod);
    }
    if (entry === undefined) {
      reaper.enqueue(keyOf(pod));
    } else if (pod.metadata.deletionTimestamp !== undefined) {
      // Whoever deletes it has said how long it may take: what it is working on ends in that time.
      giveUp(entry, 'its Pod is being deleted', pod.metadata.deletionGracePeriodSeconds ?? 0);
    } else {
      const problem = entry.channel === undefined ? startProblem(pod) : undefined;
      if (problem !== undefined) giveUp(entry, problem);
    }
  };

  pods.addHandler({
    add: seen,
    update: seen,
    delete(pod) {
      const key = keyOf(pod);
      const entry = entries.get(key);
      if (entry !== undefined) giveUp(entry, 'its Pod was deleted');
      dying.get(key)?.link?.close();
      dying.delete(key);
    },
  });

  /** Whether the instance of a Pod that was there before us answers. */
  const revive = async (pod: Pod): Promise<Entry | undefined> => {
    if (!existsSync(sockets.path(pod.metadata.uid ?? ''))) return undefined;
    const runtime = pod.metadata.labels?.[FUNCTION_LABELS.runtime] ?? '';
    const { promise, resolve } = Promise.withResolvers<Entry | undefined>();
    const entry = newEntry(runtime, pod, {
      warm: () => resolve(entry),
      cold: () => resolve(undefined),
      gone: () => resolve(undefined),
    });
    entry.pod = pod;
    entries.set(entry.key, entry);
    entry.timer = clock.after(SURVIVOR_MS, () => resolve(undefined));
    follow(entry);
    return promise;
  };

  return {
    socket: (member) => sockets.path(uidOf(member)),
    create(runtime, name, make, owner) {
      const manifest = make(name);
      const entry = newEntry(runtime, manifest, owner);
      entries.set(entry.key, entry);
      mustComeUp(entry, 'it was started');
      void bring(entry, manifest);
      return entry;
    },
    discard(member, graceSeconds) {
      const entry = entries.get(member.key);
      if (entry !== undefined && entry === member) bury(entry, graceSeconds);
    },
    rest(member) {
      const entry = entries.get(member.key);
      if (entry === undefined || entry !== member) return;
      entry.link?.close();
      entry.channel = undefined;
    },
    start: () => pods.start(),
    async takeOver(survivor) {
      await pods.synced;
      const found = pods
        .list()
        .filter((pod) => !entries.has(keyOf(pod)) && pod.metadata.deletionTimestamp === undefined);
      await Promise.all(
        found.map(async (pod) => {
          const entry = await revive(pod);
          if (entry === undefined || !(await survivor(entry, pod))) {
            const left = entries.get(keyOf(pod));
            if (left) bury(left, 0);
          }
        }),
      );
      reaper.start();
    },
    async stop() {
      stopped = true;
      pods.stop();
      for (const entry of entries.values()) {
        entry.owner = IGNORE;
        entry.dead = true;
        entry.timer?.cancel();
        entry.link?.close();
      }
      for (const { link } of dying.values()) link?.close();
      await reaper.stop();
    },
  };
}

function lastWordsOf({ reason, message, detail }: InstanceEvent): string {
  return detail ?? [reason, message].filter((part) => part !== undefined && part !== '').join(': ');
}
