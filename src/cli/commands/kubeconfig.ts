import { readFileSync } from 'node:fs';
import { PetrelError } from '../../base/errors.ts';
import { readRecord } from '../../platform/home.ts';
import type { CommandContext } from '../command.ts';

/** Prints where the kubeconfig is; it stays valid over restarts as long as the API keeps its address. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const path = readRecord(home)?.kubeconfig ?? home.kubeconfig;
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    throw new PetrelError('PlatformNotRunning', `there is no kubeconfig in ${home.dir}`, {
      why: 'no platform has been started with this home yet',
      fix: 'petrel up --detach',
      cause: error,
    });
  }
  if (args.flag('raw')) out.raw(content);
  else out.line(path);
  return 0;
}
