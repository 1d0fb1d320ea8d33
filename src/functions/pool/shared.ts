/**
 * Instances that hold many functions of a namespace: hosts, and the leases of the functions in them. To everything above a lease is a
 * member like any other, with an id of its own; it has no Pod of its own, and ends with its host.
 */
import { dirname, join } from 'node:path';
import type { Logger } from '../../base/log.ts';
import type { RevisionKey } from '../../gateway/contract.ts';
import type { Runtime } from '../../kinds/function.ts';
import type { Pod } from '../../kinds/pod.ts';
import { type InstanceChannel, InstanceGone } from '../instance-channel.ts';
import type { Member, MemberOwner, Members } from './members.ts';
import type { Pools } from './pools.ts';

/** Time for an instance to forget what it held, ms. */
const RELEASE_MS = 2000;
/** What a host says of a function that it holds. */
interface Held {
  slot: number;
  namespace: string;
  revision: string;
  transport: { kind: 'mux' | 'http1-unix' };
}

/** Functions that load in one instance at a time, from which on another that is warm takes its part. */
const MANY = 8;
/** What the calls to an instance are called when they are about one of its functions. */
const CALLS: Record<string, string> = { specialise: 'lease', drain: 'drain-lease' };

interface Lease extends Member {
  host: Host;
  slot: number;
  /** Its name: namespaces never share. */
  revision: string;
}

interface Host {
  member: Member;
  leases: Map<number, Lease>;
  /** Slots of functions that are not loaded yet: one comes after the other, since what they share is one thread. */
  loading: Set<number>;
}

interface Group {
  hosts: Set<Host>;
  opening: Promise<void> | undefined;
}

/** A function that an instance holds from an earlier life. */
export interface Survivor {
  member: Member;
  revision: RevisionKey;
  transport: 'mux' | 'http1-unix';
}

export interface Shares {
  /** A place in an instance that holds nothing else of this revision (by name), so that more instances are more processes. */
  take(runtime: Runtime, namespace: string, revision: string, signal: AbortSignal): Promise<Member>;
  /** Takes in a living instance of an earlier life with the functions that it holds; none when it holds none, and is as good as warm. */
  survivor(member: Member): Promise<Survivor[]>;
  /** Whether a member is a place in another's process. */
  isLease(member: Member): boolean;
  /** Ends a lease, or the member's Pod. */
  discard(member: Member, graceSeconds: number): void;
  /** Path of the socket that a member's own addresses stand beside. */
  socket(member: Member): string;
}

const NOBODY: MemberOwner = { warm() {}, cold() {}, gone() {} };

/** Of the instances with a place for the revision the one that has the least to load. */
function leastLoaded(hosts: Iterable<Host>, share: number, revision: string): Host | undefined {
  let best: Host | undefined;
  for (const host of hosts) {
    const { leases, member, loading } = host;
    if (member.channel === undefined || leases.size >= share) continue;
    if ([...leases.values()].some((lease) => lease.revision === revision)) continue;
    if (best === undefined || loading.size < best.loading.size) best = host;
  }
  return best;
}

export function createShares(options: { members: Members; pools: Pools; log: Logger }): Shares {
  const { members, pools, log } = options;
  const groups = new Map<string, Group>();
  const leases = new WeakSet<Member>();
  const isLease = (member: Member): member is Lease => leases.has(member);

  const forget = (host: Host): void => {
    for (const group of groups.values()) group.hosts.delete(host);
  };

  /** The process does not answer: none of its functions does. */
  const giveUp = (host: Host, reason: string): void => {
    log.warn('an instance with several functions does not answer and is removed', {
      pod: host.member.name,
      functions: host.leases.size,
    });
    forget(host);
    members.discard(host.member, 0);
    for (const lease of [...host.leases.values()]) lease.owner.gone(reason);
    host.leases.clear();
  };

  const channelOf = (channel: InstanceChannel, host: Host, slot: number): InstanceChannel => ({
    hello: channel.hello,
    closed: channel.closed,
    async call(method, params, timeoutMs) {
      try {
        return await channel.call(CALLS[method] ?? method, { ...(params as object), slot }, timeoutMs);
      } finally {
        if (method === 'specialise') host.loading.delete(slot);
      }
    },
    async ping(timeoutMs) {
      try {
        await channel.ping(timeoutMs);
      } catch (error) {
        if (error instanceof InstanceGone && error.timedOut) giveUp(host, error.message);
        throw error;
      }
    },
    close() {},
  });

  const ownerOf = (host: Host): MemberOwner => ({
    warm(channel) {
      for (const lease of [...host.leases.values()]) {
        lease.channel = channelOf(channel, host, lease.slot);
        lease.owner.warm(lease.channel);
      }
    },
    cold(reason, told) {
      for (const lease of [...host.leases.values()]) {
        lease.channel = undefined;
        lease.owner.cold(reason, told);
      }
    },
    gone(reason, refusal) {
      forget(host);
      for (const lease of [...host.leases.values()]) lease.owner.gone(reason, refusal);
      host.leases.clear();
    },
  });

  const open = async (group: Group, runtime: string, namespace: string): Promise<void> => {
    const member = await pools.take(runtime, namespace, new AbortController().signal);
    const host: Host = { member, leases: new Map(), loading: new Set() };
    member.owner = ownerOf(host);
    try {
      // It may have held functions for a platform that is no more.
      await member.channel?.call('release', {}, RELEASE_MS);
    } catch (error) {
      members.discard(member, 0);
      throw error;
    }
    group.hosts.add(host);
  };

  const groupOf = (runtime: string, namespace: string): Group => {
    const key = `${runtime}/${namespace}`;
    const group: Group = groups.get(key) ?? { hosts: new Set(), opening: undefined };
    groups.set(key, group);
    return group;
  };

  const place = (host: Host, revision: string, slot: number): Lease => {
    const { member } = host;
    const pod = member.pod as Pod;
    const lease: Lease = {
      key: member.key,
      runtime: member.runtime,
      namespace: member.namespace,
      name: member.name,
      pod: { ...pod, metadata: { ...pod.metadata, uid: `${pod.metadata.uid}.${slot}` } },
      owner: NOBODY,
      channel: member.channel && channelOf(member.channel, host, slot),
      // The host's, which gives it back in the end.
      get port() {
        return member.port;
      },
      set port(port) {
        member.port = port;
      },
      host,
      slot,
      revision,
    };
    host.leases.set(slot, lease);
    leases.add(lease);
    return lease;
  };

  const leaseIn = (host: Host, revision: string): Lease => {
    let slot = 1;
    while (host.leases.has(slot)) slot++;
    host.loading.add(slot);
    return place(host, revision, slot);
  };

  return {
    isLease,
    async survivor(member) {
      const { channel, namespace } = member;
      const said = await channel?.call<{ leases: Held[] }>('leases', {}, RELEASE_MS).catch(() => undefined);
      // Those of another namespace it could not have.
      const held = said?.leases.filter((one) => one.namespace === namespace) ?? [];
      if (held.length === 0 || member.channel === undefined) return [];
      const host: Host = { member, leases: new Map(), loading: new Set() };
      member.owner = ownerOf(host);
      groupOf(member.runtime, namespace).hosts.add(host);
      return held.map(({ slot, revision, transport }) => ({
        member: place(host, revision, slot),
        revision: `${namespace}/${revision}`,
        transport: transport.kind,
      }));
    },
    async take({ metadata: { name }, spec }, namespace, revision, signal) {
      const group = groupOf(name, namespace);
      const aborted = Promise.withResolvers<never>();
      aborted.promise.catch(() => {});
      const onAbort = () => aborted.reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        for (;;) {
          signal.throwIfAborted();
          const host = leastLoaded(group.hosts, spec.share ?? 1, revision);
          if (host && (host.loading.size < MANY || pools.warm(name) === 0)) return leaseIn(host, revision);
          group.opening ??= open(group, name, namespace).finally(() => {
            group.opening = undefined;
          });
          group.opening.catch(() => {});
          await Promise.race([group.opening, aborted.promise]);
        }
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
    discard(member, graceSeconds) {
      if (!isLease(member)) return members.discard(member, graceSeconds);
      const { host, slot } = member;
      if (host.leases.get(slot) !== member) return;
      host.leases.delete(slot);
      host.loading.delete(slot);
      const { channel } = host.member;
      channel?.call('release', { slot }, RELEASE_MS).catch(() => {});
      if (host.leases.size > 0) return;
      // Empty: one of the warm again, of which the pool keeps as many as it wants.
      forget(host);
      if (channel === undefined) members.discard(host.member, 0);
      else pools.adopt(host.member);
    },
    socket(member) {
      const socket = members.socket(isLease(member) ? member.host.member : member);
      return isLease(member) ? join(dirname(socket), `f${member.slot}`, 'i.sock') : socket;
    },
  };
}
