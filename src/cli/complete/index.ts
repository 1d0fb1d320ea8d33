/**
 * `petrel __complete <words>`: what the scripts of `petrel completion` ask. Answers with a line per proposal, a tab before what it is for, and
 * last `:none`, or `:files` or `:folders` where the shell knows better.
 */
import { homePaths } from '../../platform/home.ts';
import { COMMANDS } from '../commands.ts';
import type { Sink } from '../output.ts';
import { wanted } from './words.ts';

/** Longest description of a proposal, characters: a line of a terminal. */
const SHOWN = 60;

export async function complete(words: readonly string[], env: NodeJS.ProcessEnv, out: Sink): Promise<number> {
  const asked = wanted(COMMANDS, words);
  const { names, prefix, proposals } = asked;
  const current = (words.at(-1) ?? '').slice(prefix.length);
  const found = [...proposals, ...(await looked()).map((name) => [name, ''] as const)];
  for (const [word, purpose] of found) {
    if (!word.startsWith(current)) continue;
    const shown = purpose.length > SHOWN ? `${purpose.slice(0, SHOWN - 1)}…` : purpose;
    out.write(`${prefix}${word}${shown === '' ? '' : `\t${shown}`}\n`);
  }
  out.write(`:${names === 'files' || names === 'folders' ? names : 'none'}\n`);
  return 0;

  async function looked(): Promise<string[]> {
    if (names === undefined || names === 'files' || names === 'folders') return [];
    if (names === 'commands') return COMMANDS.filter(({ hidden }) => !hidden).map(({ name }) => name);
    if (names === 'templates') return [...(await import('../init/templates.ts')).templates().keys()];
    if (names === 'requests') return (await import('../invoke/saved.ts')).savedNames();
    const { namesOf } = await import('./names.ts');
    return namesOf(homePaths(asked.values.get('home'), env), asked);
  }
}
