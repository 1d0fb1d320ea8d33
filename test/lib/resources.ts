/** What a process holds on to: what a test of an end asks for. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** How many of this process's sockets are connected, or connecting, to that port. */
export function connectionsTo(port: number): number {
  const mine = new Set<string>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`)) ?? [];
      if (inode !== undefined) mine.add(inode);
    } catch {
      // Closed meanwhile.
    }
  }
  let count = 0;
  for (const table of ['tcp', 'tcp6']) {
    for (const line of readFileSync(`/proc/self/net/${table}`, 'utf8').split('\n').slice(1)) {
      const [, , remote = '', , , , , , , inode = ''] = line.trim().split(/\s+/);
      if (parseInt(remote.split(':')[1] ?? '', 16) === port && mine.has(inode)) count++;
    }
  }
  return count;
}

/** What keeps the event loop going now, by kind: sockets, timers, workers. Files that are being read come and go. */
export function keepingAlive(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo())
    if (!kind.startsWith('FS')) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/** What is there in `now` beyond `before`; empty: nothing is left. */
export const beyond = (before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): string[] =>
  [...now]
    .filter(([kind, count]) => count > (before.get(kind) ?? 0))
    .map(([kind, count]) => `${count - (before.get(kind) ?? 0)} × ${kind}`);
