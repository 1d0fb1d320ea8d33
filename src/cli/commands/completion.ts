import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { CommandContext } from '../command.ts';
import { SHELLS } from '../complete/shells.ts';

/** Prints a script that has a shell complete command lines of `petrel`. */
export async function run({ args, env, out }: CommandContext): Promise<number> {
  const shell = args.optional(0) ?? basename(env.SHELL ?? '');
  if (!SHELLS.includes(shell))
    throw new PetrelError('InvalidArgument', `there is no completion for ${shell || 'this shell'}`, {
      fix: `name one: petrel completion ${SHELLS.join('|')}`,
    });
  out.raw(readFileSync(new URL(`../complete/petrel.${shell}`, import.meta.url)));
  return 0;
}
