/**
 * A standing control connection to the instance of one Pod: made as soon as the instance's socket appears, reported
 * when it ends, made again when the instance has been restarted. Waits on file system events, so it costs nothing while nothing happens.
 */
import { existsSync, type FSWatcher, mkdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '../../base/clock.ts';
import { connectInstance, type InstanceChannel, type InstanceEvent } from '../instance-channel.ts';

/** Name of the socket in a Pod's directory. */
const INSTANCE_SOCKET = 'i.sock';
/** A bound socket refuses connections until it listens: tried again after 1, 2, 4 … ms for this long, ms. */
const REFUSED_FOR_MS = 5000;
const HELLO_TIMEOUT_MS = 10_000;

export interface LinkHandlers {
  up(channel: InstanceChannel): void;
  /** The connection that was reported `up` has ended. */
  down(reason: string): void;
  event(event: InstanceEvent): void;
}

export interface Link {
  /** Ends the connection; no handler is called any more. */
  close(): void;
}

export interface SocketWatcher {
  /** Path of an instance's socket, the same for the node agent and the gateway. */
  path(podUid: string): string;
  /** Starts to keep a link to the instance of a Pod. */
  link(podUid: string, handlers: LinkHandlers): Link;
  close(): void;
}

/** Watches `<runDir>/pods`. One watcher sees directories appear, one per Pod sees its socket. */
export function createSocketWatcher(runDir: string, clock: Clock): SocketWatcher {
  const root = join(runDir, 'pods');
  const appeared = new Map<string, () => void>();
  let rootWatcher: FSWatcher | undefined;

  const watchRoot = () => {
    if (rootWatcher !== undefined) return;
    mkdirSync(root, { recursive: true, mode: 0o700 });
    rootWatcher = watch(root, (_, name) => {
      if (name !== null) appeared.get(name)?.();
    });
    rootWatcher.on('error', () => {});
  };

  const path = (uid: string) => join(root, uid, INSTANCE_SOCKET);

  const link = (uid: string, handlers: LinkHandlers): Link => {
    const directory = join(root, uid);
    const socket = path(uid);
    let watcher: FSWatcher | undefined;
    let retry: Timer | undefined;
    let channel: InstanceChannel | undefined;
    let connecting = false;
    let again = false;
    let closed = false;

    const attempt = (delay: number, since: number): void => {
      retry?.cancel();
      retry = undefined;
      if (closed || channel !== undefined) return;
      if (connecting) {
        again = true;
        return;
      }
      if (!existsSync(socket)) return;
      connecting = true;
      connectInstance(socket, {
        timeoutMs: HELLO_TIMEOUT_MS,
        onEvent: (event) => closed || handlers.event(event),
      }).then(
        (opened) => {
          connecting = false;
          again = false;
          if (closed) return opened.close();
          channel = opened;
          void opened.closed.then((reason) => {
            channel = undefined;
            if (closed) return;
            handlers.down(reason);
            attempt(1, clock.monotonic());
          });
          handlers.up(opened);
        },
        () => {
          connecting = false;
          if (closed) return;
          if (again) {
            again = false;
            return attempt(1, clock.monotonic());
          }
          if (clock.monotonic() - since < REFUSED_FOR_MS)
            retry = clock.after(delay, () => attempt(Math.min(delay * 2, 100), since));
        },
      );
    };

    const attach = () => {
      watcher?.close();
      watcher = undefined;
      if (closed) return;
      try {
        watcher = watch(directory, () => attempt(1, clock.monotonic()));
        watcher.on('error', () => {});
      } catch {
        return;
      }
      attempt(1, clock.monotonic());
    };

    watchRoot();
    appeared.set(uid, attach);
    attach();
    return {
      close() {
        closed = true;
        appeared.delete(uid);
        watcher?.close();
        retry?.cancel();
        channel?.close();
      },
    };
  };

  return {
    path,
    link,
    close() {
      rootWatcher?.close();
      rootWatcher = undefined;
    },
  };
}
