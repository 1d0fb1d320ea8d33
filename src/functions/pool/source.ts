/**
 * Instances of functions: taken warm from a pool (or started for a revision that needs a Pod of its own), loaded with the
 * revision's code, watched, loaded again after a crash, drained and removed. The fast path is memory and one exchange on an open socket.
 */
import { type Clock, sleep } from '../../base/clock.ts';
import { PetrelError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { EndpointAddress, RevisionKey } from '../../gateway/contract.ts';
import type { Pod } from '../../kinds/pod.ts';
import type { Revision } from '../../kinds/serving.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { PODS } from '../../kube/refs.ts';
import {
  type AbsenceKind,
  type Instance,
  InstanceError,
  type InstanceEvents,
  type InstanceSource,
} from '../../serving/contract.ts';
import { InstanceGone } from '../instance-channel.ts';
import { createFailureMemory, functionFailure } from './failures.ts';
import type { FunctionZygotes } from './function-zygotes.ts';
import { addressAt, type Loader, LoadInterrupted } from './load.ts';
import { type Member, type MemberOwner, type Members, uidOf } from './members.ts';
import {
  ADDRESS_ANNOTATION,
  codeCacheOf,
  codeOf,
  dedicatedPod,
  limitsPatch,
  needsOwnPod,
  revisionKeyOfPod,
  specialisedPatch,
} from './pods.ts';
import type { Pools } from './pools.ts';
import type { Shares } from './shared.ts';

/** The objects that describe a new instance are written this long after it serves, so that writing does not compete, ms. */
const DESCRIBE_AFTER_MS = 25;
/** While code loads for the first time others of its revision hold back this long: most load errors show at once, ms. */
const SCOUT_MS = 50;
/** From SIGTERM to SIGKILL for an instance that has drained, s; Kubernetes' default. */
const TERM_SECONDS = 30;
/** How long a suspect may take to answer, ms. */
const SUSPECT_MS = 2000;
/** Instances of an earlier life that nobody claims within this time are removed, ms. */
const CLAIM_MS = 60_000;
/** Instances that may die without a word under one load before the code is blamed. */
const LOAD_TRIES = 3;
const MAX_PROVEN = 10_000;

interface Running {
  member: Member;
  revision: Revision;
  instance: Instance;
  /** Not handed out any more: crashed and being loaded again, or being removed. */
  leaving: boolean;
}

export interface FunctionSource extends InstanceSource {
  suspect(instanceId: string): Promise<void>;
  /** Takes in a living specialised instance of an earlier life; false when it cannot be used. */
  survivor(member: Member, pod: Pod): boolean;
  /** The same for one that keeps several functions; false when it holds none. */
  sharedSurvivor(member: Member): Promise<boolean>;
  /** From here on `adopt` answers: all survivors are known. */
  survivorsKnown(): void;
}

export interface SourceOptions {
  client: KubeClient;
  pools: Pools;
  members: Members;
  shares: Shares;
  zygotes: FunctionZygotes;
  loader: Loader;
  clock: Clock;
  log: Logger;
  /** Limit of instances whose function has none. */
  memory?: string | undefined;
}

const keyOfRevision = (revision: Revision): RevisionKey =>
  `${revision.metadata.namespace}/${revision.metadata.name}`;
const addressText = (address: EndpointAddress) =>
  'port' in address ? `http1:${address.port}` : address.kind;

export function createSource(options: SourceOptions): FunctionSource {
  const { client, pools, members, shares, zygotes, loader, clock, log } = options;
  const running = new Map<string, Running>();
  const orphans = new Map<RevisionKey, { member: Member; address: EndpointAddress }[]>();
  const failures = createFailureMemory(() => clock.monotonic());
  /** Revisions (uid) whose code has loaded at least once, and first attempts under way. */
  const proven = new Set<string>();
  const scouts = new Map<string, Promise<void>>();
  const listeners: InstanceEvents[] = [];
  const known = Promise.withResolvers<void>();

  const down = (revision: Revision, id: string, reason: string, kind: AbsenceKind = 'crashed') => {
    for (const listener of listeners) listener.down(revision, id, reason, kind);
  };

  const describe = (revision: Revision, member: Member, address: EndpointAddress): void => {
    if (shares.isLease(member)) return; // its Pod is not this function's alone
    clock.after(DESCRIBE_AFTER_MS, () => {
      if (!running.has(uidOf(member))) return;
      const cache = member.channel && codeCacheOf(revision, member.channel.hello.language);
      const patch = specialisedPatch(revision, addressText(address), cache, options.memory);
      client.patch(PODS, member.namespace, member.name, 'merge', patch as never).catch((error) => {
        if (error instanceof KubeError && error.code === 404) return;
        log.warn('a Pod could not be labelled as specialised', {
          pod: member.name,
          error: (error as Error).message,
        });
      });
    });
  };

  /**
   * Limits hold from the load on, which is code of the function already; not waited for, as it is the cold start's time. The limit of those
   * without one comes with `describe`: for it alone nothing is written in that time.
   */
  const limit = (revision: Revision, member: Member): void => {
    const patch = needsOwnPod(revision) || shares.isLease(member) ? undefined : limitsPatch(revision);
    if (patch === undefined) return;
    client.patch(PODS, member.namespace, member.name, 'merge', patch).catch((error) =>
      log.debug('a Pod was not limited before its code was loaded', {
        pod: member.name,
        error: (error as Error).message,
      }),
    );
  };

  /** Follows an instance that serves: tells of its crash, loads it again, forgets it when its Pod is gone. */
  const ownerOf = (entry: Running): MemberOwner => ({
    cold(reason) {
      if (entry.leaving) return;
      log.warn('an instance crashed', {
        revision: keyOfRevision(entry.revision),
        pod: entry.member.name,
        reason,
      });
      down(entry.revision, entry.instance.id, reason);
    },
    warm() {
      if (!entry.leaving) void reload(entry);
    },
    gone(reason) {
      running.delete(entry.instance.id);
      if (!entry.leaving) down(entry.revision, entry.instance.id, reason, 'removed');
    },
  });

  const reload = async (entry: Running): Promise<void> => {
    const { member, revision } = entry;
    try {
      await loader.prepare(revision);
      const { address } = await loader.load(revision, member);
      if (entry.leaving || !running.has(entry.instance.id)) return;
      entry.instance = { ...entry.instance, address };
      for (const listener of listeners) listener.up(revision, entry.instance);
    } catch (error) {
      // An interrupted load is one more crash: the member counts it and its Pod starts it once more.
      if (error instanceof LoadInterrupted) return;
      if (error instanceof InstanceError) failures.remember(revision.metadata.uid ?? '', error);
      log.warn('a crashed instance could not be loaded again', {
        pod: member.name,
        error: (error as Error).message,
      });
      running.delete(entry.instance.id);
      shares.discard(member, 0);
      down(revision, entry.instance.id, (error as Error).message);
    }
  };

  const enlist = (revision: Revision, member: Member, address: EndpointAddress): Instance => {
    const instance: Instance = {
      id: uidOf(member),
      namespace: member.namespace,
      podName: member.name,
      address,
    };
    const entry: Running = { member, revision, instance, leaving: false };
    running.set(instance.id, entry);
    member.owner = ownerOf(entry);
    return instance;
  };

  const takeMember = async (revision: Revision, signal: AbortSignal): Promise<Member> => {
    const forked = zygotes.take(revision, signal);
    const ready = forked && (await forked);
    if (ready !== undefined) return ready;
    const { runtime } = codeOf(revision) as { runtime: string };
    const namespace = revision.metadata.namespace ?? 'default';
    const known = pools.runtime(runtime);
    if (!needsOwnPod(revision, known)) {
      if (known?.spec.share === undefined) return pools.take(runtime, namespace, signal);
      return shares.take(known, namespace, revision.metadata.name, signal);
    }
    const make = (name: string) => {
      const found = pools.runtime(runtime);
      if (found === undefined)
        throw new PetrelError('RuntimeUnavailable', `There is no runtime "${runtime}".`);
      return dedicatedPod(found, revision, name);
    };
    return pools.startOwn(runtime, make, signal);
  };

  /**
   * Takes a member and loads it. An instance that dies under the load without saying why is replaced a few times: it may have been
   * dying before.
   */
  const bringUp = async (revision: Revision, signal: AbortSignal, tries = LOAD_TRIES): Promise<Instance> => {
    const ready = loader.prepare(revision);
    ready?.catch(() => {});
    const member = await takeMember(revision, signal);
    const crashed = Promise.withResolvers<{ reason: string; told: boolean }>();
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => {});
    member.owner = {
      warm() {},
      cold: (reason, told) => crashed.resolve({ reason, told }),
      gone: (reason) => crashed.resolve({ reason, told: false }),
    };
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      if (ready !== undefined) await ready;
      limit(revision, member);
      const { address, loadMs } = await Promise.race([loader.load(revision, member), aborted.promise]);
      const instance = enlist(revision, member, address);
      describe(revision, member, address);
      if (address.kind === 'mux') zygotes.loaded(revision, member, loadMs);
      return instance;
    } catch (error) {
      if (!(error instanceof LoadInterrupted)) {
        shares.discard(member, 0);
        throw error;
      }
      const { reason, told } = await Promise.race([
        crashed.promise,
        sleep(clock, SCOUT_MS).then(() => ({ reason: error.message, told: false })),
      ]);
      shares.discard(member, 0);
      signal.throwIfAborted();
      if (!told && tries > 1) return bringUp(revision, signal, tries - 1);
      throw functionFailure(500, 'load_error', `The process ended while it loaded the code: ${reason}`);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  };

  const prove = (uid: string) => {
    proven.add(uid);
    for (const oldest of proven) {
      if (proven.size <= MAX_PROVEN) break;
      proven.delete(oldest);
    }
  };

  const removeLater = (key: RevisionKey) => {
    clock.after(CLAIM_MS, () => {
      for (const { member } of orphans.get(key) ?? []) shares.discard(member, 30);
      orphans.delete(key);
    });
  };

  /** Keeps an instance of an earlier life until its revision claims it. */
  const orphan = (key: RevisionKey, member: Member, address: EndpointAddress): void => {
    const list = orphans.get(key) ?? [];
    if (list.length === 0) removeLater(key);
    orphans.set(key, [...list, { member, address }]);
    member.owner = {
      warm() {},
      cold: () => shares.discard(member, 0),
      gone() {},
    };
  };

  const remove = async (entry: Running, graceMs: number): Promise<void> => {
    entry.leaving = true;
    const { member, revision } = entry;
    const { channel } = member;
    let drained = false;
    if (graceMs > 0 && channel !== undefined) {
      // One that does not even answer a ping has nothing to drain and would take the whole grace period for it.
      const drain = () => channel.call('drain', { graceMs }, graceMs + 1000);
      drained = await channel
        .ping(SUSPECT_MS)
        .then(drain)
        .then(() => true)
        .catch(() => false);
    }
    running.delete(entry.instance.id);
    shares.discard(member, drained ? (revision.spec.terminationGracePeriodSeconds ?? TERM_SECONDS) : 0);
  };

  return {
    handles: (revision) => codeOf(revision) !== undefined,
    async acquire(revision, signal) {
      signal.throwIfAborted();
      const uid = revision.metadata.uid ?? keyOfRevision(revision);
      failures.check(uid);
      const scout = proven.has(uid) ? undefined : scouts.get(uid);
      if (scout !== undefined) {
        await Promise.race([scout, sleep(clock, SCOUT_MS, signal)]);
        signal.throwIfAborted();
        failures.check(uid);
      }
      pools.coldStartBegins();
      const attempt = bringUp(revision, signal)
        .then(
          (instance) => {
            prove(uid);
            return instance;
          },
          (error) => {
            if (error instanceof InstanceError) failures.remember(uid, error);
            throw error;
          },
        )
        .finally(() => pools.coldStartEnds());
      if (!proven.has(uid) && !scouts.has(uid)) {
        const over = () => void scouts.delete(uid);
        scouts.set(uid, attempt.then(over, over));
      }
      return attempt;
    },
    async release(_revision, instanceId, graceMs) {
      const entry = running.get(instanceId);
      if (entry !== undefined && !entry.leaving) await remove(entry, graceMs);
    },
    async adopt(revision) {
      await known.promise;
      const key = keyOfRevision(revision);
      const found = orphans.get(key) ?? [];
      orphans.delete(key);
      return found
        .filter(({ member }) => member.channel !== undefined)
        .map(({ member, address }) => enlist(revision, member, address));
    },
    onEvent(events) {
      listeners.push(events);
    },
    async suspect(instanceId) {
      const entry = running.get(instanceId);
      if (entry === undefined || entry.leaving || entry.member.channel === undefined) return;
      try {
        await entry.member.channel.ping(SUSPECT_MS);
      } catch (error) {
        // A connection that ended is a crash, and crashes have their own way.
        if (!(error instanceof InstanceGone && error.timedOut)) return;
        if (!running.has(instanceId) || entry.leaving) return;
        log.warn('an instance does not answer and is removed', {
          pod: entry.member.name,
          reason: (error as Error).message,
        });
        await remove(entry, 0);
        down(entry.revision, instanceId, 'it does not answer');
      }
    },
    survivor(member, pod) {
      const key = revisionKeyOfPod(pod);
      const text = pod.metadata.annotations?.[ADDRESS_ANNOTATION];
      if (key === undefined || text === undefined || member.channel?.hello.state !== 'specialised')
        return false;
      const port = /^http1:(\d+)$/.exec(text)?.[1];
      const address: EndpointAddress = port
        ? { kind: 'http1', host: '127.0.0.1', port: Number(port) }
        : addressAt(text === 'mux' ? 'mux' : 'http1-unix', members.socket(member));
      orphan(key, member, address);
      return true;
    },
    async sharedSurvivor(host) {
      const found = await shares.survivor(host);
      for (const { member, revision, transport } of found)
        orphan(revision, member, addressAt(transport, shares.socket(member)));
      return found.length > 0;
    },
    survivorsKnown: () => known.resolve(),
  };
}
