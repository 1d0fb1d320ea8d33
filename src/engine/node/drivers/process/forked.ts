/** The processes of a container whose main process was forked from a zygote. */
import type { Readable } from 'node:stream';
import { startTimeOf } from './host.ts';
import { bindFlags } from './mount-calls.ts';
import type { Lifeline, OutputPipe } from './pipes.ts';
import type { ContainerProcesses } from './processes.ts';
import { signalProcess } from './spawn.ts';
import type { Forked, Zygote } from './zygote.ts';

/** How often those are looked after that have lost their zygote, ms: nobody tells of their end. */
const ORPHAN_MS = 500;
/** Exit code of a process whose end nobody has seen. */
const UNSEEN = 255;

export interface ForkedOptions {
  forked: Forked;
  zygote: Zygote;
  life: Lifeline;
  pipes: [OutputPipe, OutputPipe];
}

/** Resolves when there is no such process any more. */
function gone(pid: number): Promise<void> {
  const started = startTimeOf(pid);
  return new Promise((resolve) => {
    const look = () => {
      if (started !== undefined && startTimeOf(pid) === started) setTimeout(look, ORPHAN_MS);
      else resolve();
    };
    look();
  });
}

export function forkedProcesses({ forked, zygote, life, pipes }: ForkedOptions): ContainerProcesses {
  const { pid, keeper } = forked;
  let ended = false;
  let keeperEnded = false;
  const orphaned = (each: number) => zygote.over.then(() => gone(each)).then(() => UNSEEN);

  const kill = () => {
    // The death of the first process of a pid namespace takes all others along.
    life.release();
    if (!keeperEnded) signalProcess(keeper, 'SIGKILL');
  };
  void forked.keeperEnded.then(() => {
    keeperEnded = true;
  });
  const exited = (async () => {
    const code = await Promise.race([forked.ended, orphaned(pid)]);
    ended = true;
    kill();
    await Promise.race([forked.keeperEnded, orphaned(keeper)]);
    life.free();
    return code;
  })();

  const alive = () => (ended ? undefined : pid);
  const [stdout, stderr] = pipes.map(({ read }) => read as Readable) as [Readable, Readable];
  return {
    pid,
    stdout,
    stderr,
    others: [],
    setUp: forked.setUp,
    exited,
    // The first process of the namespace has nothing of the container's but its number; the view is the main one's.
    init: alive,
    main: alive,
    mount: async ({ source, target, readOnly }) =>
      !ended && (await zygote.mount({ of: pid, source, target, flags: bindFlags(readOnly) })),
    kill,
  };
}
