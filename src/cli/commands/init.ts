import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { CommandContext } from '../command.ts';
import { nameFor } from '../deploy/source.ts';
import { RUNTIMES, templates } from '../init/templates.ts';
import { closest } from '../suggest.ts';

/** What of a runtime is part of every function made from its template, and what it is called there: code that builds and tests import. */
const BESIDE: Record<string, { from: string; to: string }> = { rust: { from: 'support', to: 'petrel' } };

/** Every file of a template, relative. */
const filesOf = (template: string): string[] =>
  readdirSync(template, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(template.length + 1))
    .sort();

/** Writes the beginnings of a function into a folder. Never writes over a file. */
export async function run({ args, out }: CommandContext): Promise<number> {
  const folders = templates();
  const known = [...folders.keys()];
  if (args.flag('list')) {
    await out.data(known, () => out.line(known.join('\n')));
    return 0;
  }
  const name = args.text('template') ?? 'node';
  const template = folders.get(name);
  if (template === undefined) {
    const near = closest(name, known);
    throw new PetrelError('InvalidArgument', `there is no template "${name}"`, {
      fix: near ? `did you mean ${near}?` : `use one of ${known.join(', ')}`,
    });
  }
  const target = resolve(args.optional(0) ?? '.');
  const { from, to } = BESIDE[name] ?? {};
  const support = from && join(RUNTIMES, name, from);
  const files = [
    ...filesOf(template),
    ...(support && to ? filesOf(support).map((file) => join(to, file)) : []),
  ];
  const there = files.filter((file) => existsSync(join(target, file)));
  if (there.length > 0)
    throw new PetrelError('NameTaken', `${target} has ${there.join(', ')} already`, {
      why: 'nothing is written over',
      fix: 'choose another folder',
    });
  mkdirSync(target, { recursive: true });
  cpSync(template, target, { recursive: true, force: false });
  if (support && to) cpSync(support, join(target, to), { recursive: true, force: false });
  const shown = args.optional(0) ?? '.';
  await out.data({ directory: target, template: name, files }, () => {
    for (const file of files) out.line(join(shown, file));
    out.note(`${basename(target)} is a function in ${name}. Go on with:`);
    // A folder may be called what a host name cannot.
    const proposal = nameFor(basename(target));
    out.note(`  petrel dev ${shown}${proposal === basename(target) ? '' : ` --name ${proposal}`}`);
  });
  return 0;
}
