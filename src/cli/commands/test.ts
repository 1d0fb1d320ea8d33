import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { CommandContext } from '../command.ts';

const SCRIPT = fileURLToPath(new URL('../../../scripts/test.ts', import.meta.url));

/** Runs the checkout's own test script; it is no part of what runs functions. */
export async function run({ args }: CommandContext): Promise<number> {
  const flags = [
    ...args.list('only').flatMap((part) => ['--only', part]),
    ...(args.flag('list') ? ['--list'] : []),
  ];
  const child = spawn(process.execPath, [SCRIPT, ...flags], { stdio: 'inherit' });
  return await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 70));
  });
}
