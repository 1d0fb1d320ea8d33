/** What the commands about invocations share: asking the platform, and printing. */
import { PetrelError } from '../../base/errors.ts';
import { askPlatform } from '../../functions/packages/client.ts';
import { since } from '../../kinds/human.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { closest } from '../suggest.ts';

/** An invocation as the platform tells of it. */
export interface InvocationView {
  id: string;
  namespace: string;
  function: string;
  destination?: string;
  status: string;
  reason?: string;
  acceptedAt: string;
  finishedAt?: string;
  nextAttemptAt?: string;
  attempts: { at: string; ms: number; status?: number; error?: string }[];
  result?: {
    status: number;
    headers: Record<string, string>;
    body?: string;
    bodyBase64?: string;
    truncated?: boolean;
  };
  request?: { method: string; path: string; headers: [string, string][]; bodyBase64: string };
}

/** The id of an invocation; everything else is a name. */
export const isId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text);

/** The action named on the command line. Throws `InvalidArgument`. */
export function actionOf<T extends string>(command: string, args: Args, actions: readonly T[]): T {
  const given = args.required(0);
  const found = actions.find((action) => action === given);
  if (found !== undefined) return found;
  const near = closest(given, actions);
  throw new PetrelError('InvalidArgument', `${command} does not know "${given}"`, {
    why: `it knows ${actions.join(', ')}`,
    fix: near ? `did you mean petrel ${command} ${near}?` : `petrel ${command} --help shows examples`,
  });
}

/** The id that an action needs. Throws `InvalidArgument`. */
export function idOf(command: string, args: Args): string {
  const id = args.positionals[1] ?? '';
  if (isId(id)) return id;
  throw new PetrelError('InvalidArgument', `petrel ${command} needs the id of an invocation`, {
    why: id === '' ? 'none was given' : `"${id}" is none: ids are 32 hexadecimal digits`,
    fix: `petrel ${command.split(' ')[0]} list shows them`,
  });
}

/** The targets that a name and the options for namespaces stand for, as a query. */
export function targetQuery(args: Args, name = args.positionals[1]): URLSearchParams {
  const query = new URLSearchParams();
  const namespace = args.text('namespace') ?? 'default';
  if (name !== undefined) query.set('target', `${namespace}/${name}`);
  else if (!args.flag('all')) query.set('target', `${namespace}/`);
  return query;
}

/** Asks the platform; `path` with its query. */
export async function ask<T>(
  { home }: CommandContext,
  method: 'GET' | 'POST',
  path: string,
  query: URLSearchParams,
): Promise<T> {
  return (await askPlatform<T>(home.socket, method, `${path}?${query}`)) as T;
}

/** Prints a list, newest first. */
export async function printList(
  { args, out }: CommandContext,
  items: InvocationView[],
  none: string,
): Promise<void> {
  const all = args.flag('all');
  const now = Date.now();
  await out.data(items, () => {
    if (items.length === 0) return out.note(none);
    out.table(
      [...(all ? ['NAMESPACE'] : []), 'ID', 'FUNCTION', 'STATUS', 'ATTEMPTS', 'ANSWER', 'AGE', 'REASON'],
      items.map((item) => {
        const last = item.attempts.at(-1);
        return [
          ...(all ? [item.namespace] : []),
          item.id,
          item.destination === undefined ? item.function : `${item.function} → ${item.destination}`,
          item.status,
          String(item.attempts.length),
          last === undefined ? '' : String(last.status ?? 'none'),
          since(item.acceptedAt, now),
          item.reason ?? '',
        ];
      }),
    );
  });
}

/** Prints one with its attempts and, when told to, request and result. */
export async function printOne({ out }: CommandContext, item: InvocationView): Promise<void> {
  await out.data(item, () => {
    const lines: [string, string | undefined][] = [
      ['Id', item.id],
      ['Function', `${item.namespace}/${item.function}`],
      ['Destination', item.destination],
      ['Status', item.status],
      ['Reason', item.reason],
      ['Accepted', item.acceptedAt],
      ['Finished', item.finishedAt],
      ['Next attempt', item.nextAttemptAt],
    ];
    for (const [label, value] of lines)
      if (value !== undefined) out.line(`${`${label}:`.padEnd(14)}${value}`);
    if (item.attempts.length > 0) {
      out.line('\nAttempts');
      out.table(
        ['AT', 'MS', 'ANSWER'],
        item.attempts.map(({ at, ms, status, error }) => [at, String(ms), String(status ?? error)]),
      );
    }
    if (item.request) {
      const { method, path, headers, bodyBase64 } = item.request;
      out.line(`\nRequest\n${method} ${path}`);
      for (const [name, value] of headers) out.line(`${name}: ${value}`);
      out.line('');
      out.raw(Buffer.from(bodyBase64, 'base64'));
      out.line('');
    }
    if (item.result) {
      out.line(`\nResult: ${item.result.status}${item.result.truncated ? ' (the beginning)' : ''}`);
      out.raw(resultBody(item.result));
      out.line('');
    }
  });
}

/** The bytes of a result. */
export function resultBody({ body, bodyBase64 }: NonNullable<InvocationView['result']>): Buffer {
  return bodyBase64 === undefined ? Buffer.from(body ?? '') : Buffer.from(bodyBase64, 'base64');
}
