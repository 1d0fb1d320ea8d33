/** Streams that are not on this machine's disk: each kind of store is a row, loaded with the first stream that is kept there. */

import type { Clock } from '../../../base/clock.ts';
import { PetrelError } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import type { StreamSpec } from '../../model.ts';
import type { EventLog, Stream } from '../contract.ts';

/** A stream of a store elsewhere. */
export interface RemoteStream extends Stream {
  /** Lets go of it; with `drop` its events go, too. */
  close(drop: boolean): Promise<void>;
}

export interface RemoteSurroundings {
  clock: Clock;
  log: Logger;
  /** How it stands with a stream that was opened: lost, or found again. */
  report(key: string, state: { ready: boolean; reason: string; message: string }): void;
}

/** What is told of a stream. */
export const OPEN = { ready: true, reason: 'Open', message: '' };
export const lost = (error: PetrelError) => ({
  ready: false,
  reason: 'StoreUnavailable',
  message: error.why === '' ? error.message : `${error.message}: ${error.why}`,
});

/** Whether its place, or how it is reached, is another. */
export const movedFrom = (before: StreamSpec, spec: StreamSpec): boolean =>
  JSON.stringify(before.backend) !== JSON.stringify(spec.backend);

/** Opens or makes a stream; another uid: the old events go first. Throws `PetrelError` `NotReady`, `InvalidArgument`. */
export type OpenRemote = (spec: StreamSpec, around: RemoteSurroundings) => Promise<RemoteStream>;

const STORES: Record<string, () => Promise<OpenRemote>> = {
  jetstream: async () => (await import('./jetstream.ts')).openJetStream,
  kafka: async () => (await import('./kafka.ts')).openKafka,
};

/** The log, with streams elsewhere where their spec says so. A change of the place is a new stream. */
export function withRemote(local: EventLog, around: RemoteSurroundings): EventLog {
  const open = new Map<string, RemoteStream>();

  const close = async (key: string, drop: boolean): Promise<void> => {
    const stream = open.get(key);
    open.delete(key);
    await stream?.close(drop);
  };

  return {
    async open(spec) {
      if (spec.backend === undefined) {
        if (open.has(spec.key)) await close(spec.key, false);
        return local.open(spec);
      }
      const there = open.get(spec.key);
      if (there?.spec.uid === spec.uid && there.spec.backend?.type === spec.backend.type) {
        there.update(spec);
        return there;
      }
      if (there) await close(spec.key, there.spec.uid !== spec.uid);
      const { type } = spec.backend;
      const load = Object.hasOwn(STORES, type) ? STORES[type] : undefined;
      if (load === undefined)
        throw new PetrelError('InvalidArgument', `there is no store of events called "${type}"`, {
          why: `there are: ${Object.keys(STORES).join(', ')}`,
        });
      const stream = await (await load())(spec, around);
      open.set(spec.key, stream);
      return stream;
    },
    remove: (key) => (open.has(key) ? close(key, true) : local.remove(key)),
    keys: () => local.keys(),
    async close() {
      await Promise.allSettled([...open.keys()].map((key) => close(key, false)));
      await local.close();
    },
  };
}
