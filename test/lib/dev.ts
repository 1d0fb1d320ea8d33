/** `petrel dev` as a child process of a test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type Petrel, ROOT } from './platform.ts';

export interface Dev {
  child: ChildProcess;
  /** Both streams, so far. */
  said(): string;
  exited: Promise<number | null>;
}

/** Starts it on the home of a platform, without a terminal. */
export function startDev(petrel: Petrel, args: readonly string[], cwd = ROOT): Dev {
  const child = spawn(join(ROOT, 'petrel'), ['dev', ...args], {
    cwd,
    // A test run inside of another would believe that it is a part of it.
    env: { ...process.env, PETREL_HOME: petrel.home, NODE_TEST_CONTEXT: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  return { child, said: () => said, exited: once(child, 'exit').then(([code]) => code) };
}
