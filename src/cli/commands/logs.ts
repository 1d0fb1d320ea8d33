import { PetrelError } from '../../base/errors.ts';
import { parseGoDuration } from '../../kinds/go-duration.ts';
import { findLogs, followLogs, type LogEntry, type LogRequest, readLogs } from '../../kube/logs/index.ts';
import { linesOf } from '../../kube/logs/scope.ts';
import type { CommandContext } from '../command.ts';
import { deployedAs } from '../deployed.ts';
import { linePrinter, prefixOf, refusal, sourceOf } from '../logs/follow.ts';
import { withSession } from '../session.ts';

/** Prints the logs of a function's instances in the order of their lines, following those that start later when asked to. */
export async function run({ args, home, out }: CommandContext): Promise<number> {
  const name = args.required(0);
  const namespace = args.text('namespace') ?? 'default';
  const follow = args.flag('follow');
  const previous = args.flag('previous');
  const instance = args.text('instance');
  const since = sinceOf(args.text('since'), Date.now());
  if (follow && previous)
    throw new PetrelError('InvalidArgument', '--previous cannot be followed', {
      why: 'the instance has ended: it says nothing more',
      fix: 'leave one of the two out',
    });
  return withSession(home, async ({ client, transport }) => {
    const { only, ...scope } = await sourceOf(client, await deployedAs(client, namespace, name));
    const request: LogRequest = {
      client,
      transport,
      scope: { namespace, ...scope },
      since,
      tail: args.integer('tail'),
      instance,
      previous,
      keep: only === undefined ? undefined : () => linesOf(only),
      refused: refusal(out),
    };
    const view = await findLogs(request);
    if (instance !== undefined && view.sources.length === 0)
      throw new PetrelError('NotFound', `${name} has no instance ${instance}`, {
        why: 'none that exists has this name, and none whose log is kept',
        fix: `petrel logs ${name} -o json tells the names`,
      });
    const instances = new Set(view.sources.map((source) => source.instance));
    const prefixed = only === undefined && instance === undefined && (follow || instances.size > 1);
    const printer = linePrinter(out);
    const json = out.format === 'json';
    const print = (entry: LogEntry) => {
      if (json) printer.line(asJson(entry));
      else printer.line(prefixed ? prefixOf(entry.source) + entry.text : entry.text);
    };
    if (view.sources.length === 0 && !json) {
      if (follow) out.note(`waiting for an instance of ${name} ...`);
      else if (previous) out.note(`no instance of ${name} has ended, or none whose log is kept`);
      else out.note(`${name} has no instance now, and had none; petrel logs -f ${name} waits for one`);
    }
    if (follow) await followLogs(request, view, print);
    else for await (const entry of readLogs(request, view)) print(entry);
    printer.flush();
    return 0;
  });
}

function asJson({ time, source, text }: LogEntry): string {
  const { instance, revision, container, endedAt } = source;
  return JSON.stringify({
    time: time.replace(/0{6}Z$/, 'Z'),
    instance,
    ...(revision === '' ? {} : { revision }),
    container,
    gone: endedAt !== undefined,
    line: text,
  });
}

/** `10m` before `now`, or a time. Milliseconds since the epoch. */
function sinceOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const days = /^(\d{1,4})d$/.exec(text)?.[1];
  const ago = days === undefined ? parseGoDuration(text) : Number(days) * 24 * 3600_000;
  const at = ago === undefined ? Date.parse(text) : now - ago;
  if (!Number.isNaN(at) && at <= now && at > 0) return at;
  throw new PetrelError('InvalidArgument', `--since ${text} is no time`, {
    why: 'it must be how long ago (30s, 10m, 2h, 1d), or a time of the past (2026-01-31T12:00:00Z)',
    fix: '--since 10m',
  });
}
