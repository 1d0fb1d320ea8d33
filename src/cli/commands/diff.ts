import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import { createPackageStore } from '../../functions/packages/store.ts';
import { CODE_ANNOTATIONS, type Digest } from '../../kinds/function.ts';
import type { Revision } from '../../kinds/serving.ts';
import type { HomePaths } from '../../platform/home.ts';
import type { CommandContext } from '../command.ts';
import type { Output } from '../output.ts';
import { withSession } from '../session.ts';
import { type FileChange, fileChanges, type SettingChange, settingChanges } from '../traffic/differences.ts';
import { choiceOf, type TrafficFacts } from '../traffic/edit.ts';
import { factsOf, revisionsOf, serviceNamed } from '../traffic/service.ts';

/** Annotations of a revision that its author did not write. */
const OWN_BOOKKEEPING = /^(serving\.knative\.dev\/|client\.knative\.dev\/|petrel\.dev\/description$)/;
/** Text that `diff` makes of one file, bytes. */
const MOST_TEXT = 1024 * 1024;

interface Difference {
  from: string;
  to: string;
  settings: SettingChange[];
  files: (FileChange & { text?: string })[];
}

/** Compares two revisions of a function: settings, and the files of their packages. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  return withSession(home, async ({ client }) => {
    const service = await serviceNamed(client, namespace, name);
    const revisions = await revisionsOf(client, service);
    const facts = factsOf(service, revisions);
    const named = (word: string) => revisionNamed(word, facts);
    const to = args.optional(2) === undefined ? revisions[0] : named(args.optional(2) as string);
    const first = args.optional(1);
    const before = to && revisions[revisions.indexOf(to) + 1];
    const from = first === undefined ? before : named(first);
    if (from === undefined || to === undefined)
      throw new PetrelError('NotFound', `${name} has no revision to compare with`, {
        fix: `petrel revisions ${name} shows those that there are`,
      });
    const difference: Difference = {
      from: from.metadata.name,
      to: to.metadata.name,
      settings: settingChanges(settingsOf(from), settingsOf(to)),
      files: await packageChanges(home, from, to),
    };
    await out.data(difference, () => print(out, difference));
    return 0;
  });
}

function revisionNamed(word: string, facts: TrafficFacts): Revision | undefined {
  const choice = choiceOf(word, facts);
  const name = 'revisionName' in choice ? choice.revisionName : facts.latestReady;
  return facts.revisions.find(({ metadata }) => metadata.name === name);
}

function settingsOf({ metadata, spec }: Revision) {
  const annotations = Object.entries(metadata.annotations ?? {}).filter(
    ([key]) => !OWN_BOOKKEEPING.test(key),
  );
  return { annotations: Object.fromEntries(annotations), spec };
}

const packageOf = ({ metadata }: Revision) =>
  metadata.annotations?.[CODE_ANNOTATIONS.package] as Digest | undefined;

async function packageChanges(home: HomePaths, from: Revision, to: Revision): Promise<Difference['files']> {
  const [before, after] = [packageOf(from), packageOf(to)];
  if (before === undefined || after === undefined || before === after) return [];
  const store = createPackageStore({ dir: home.packages, shared: true });
  const [a, b] = await Promise.all([store.directory(before), store.directory(after)]);
  return fileChanges(a, b).map((change) => {
    const text = textOf(a, b, change);
    return { ...change, ...(text ? { text } : {}) };
  });
}

/** The change as `diff -u` tells it; undefined without that program, and for what is no text. */
function textOf(from: string, to: string, { path, change }: FileChange): string | undefined {
  const side = (root: string, absent: FileChange['change']) =>
    change === absent ? '/dev/null' : join(root, path);
  const files = [side(from, 'added'), side(to, 'removed')];
  const labels = ['--label', `a/${path}`, '--label', `b/${path}`];
  const done = spawnSync('diff', ['-u', ...labels, ...files], { encoding: 'utf8', maxBuffer: MOST_TEXT });
  return done.status === 1 && done.stdout.startsWith('---') ? done.stdout : undefined;
}

function print(out: Output, { from, to, settings, files }: Difference): void {
  if (settings.length === 0 && files.length === 0) out.note(`${from} and ${to} are the same`);
  const shown = (value: unknown) => (value === undefined ? '' : JSON.stringify(value));
  if (settings.length > 0)
    out.table(
      ['SETTING', from, to],
      settings.map((one) => [one.path, shown(one.from), shown(one.to)]),
    );
  for (const { path, change, text } of files) {
    out.line(`${change}: ${path}`);
    if (text) out.line(text.trimEnd());
  }
}
