/** What commands may do with invocations, on the platform's own socket: list all, cancel, and handle dead letters. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PetrelError } from '../../base/errors.ts';
import { sendJson } from '../packages/server.ts';
import type { Engine } from './engine.ts';
import { describe } from './status.ts';
import { type InvocationRow, STATES, type StoredState } from './types.ts';

/** What a list shows when nobody says how much, and at most. */
const PAGE = { usual: 50, most: 1000 } as const;
export const LETTERS: readonly StoredState[] = ['failed', 'dead'];

export type AdminAction = 'list' | 'get' | 'cancel' | 'redrive' | 'purge';

function filterOf(query: URLSearchParams) {
  const states = query.get('state')?.split(',') ?? [];
  for (const state of states) {
    if (!(STATES as readonly string[]).includes(state))
      throw new PetrelError('InvalidArgument', `"${state}" is no state of an invocation`, {
        fix: `Use ${STATES.join(', ')}.`,
      });
  }
  const number = (name: string) => {
    const text = query.get(name);
    return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  };
  const before = number('before');
  return {
    ...(query.has('target') ? { target: query.get('target') as string } : {}),
    ...(states.length > 0 ? { states: states as StoredState[] } : {}),
    ...(before === undefined ? {} : { before }),
    limit: Math.min(number('limit') ?? PAGE.usual, PAGE.most),
  };
}

/** Works on dead letters, of one id or of all that match, oldest first; the number that it worked on. */
async function onLetters(
  engine: Engine,
  query: URLSearchParams,
  work: (row: InvocationRow) => Promise<boolean>,
): Promise<number> {
  const id = query.get('id');
  if (id !== null) {
    const row = engine.store.get(id);
    if (row === undefined || !LETTERS.includes(row.state) || !(await work(row))) throw noLetter(id);
    return 1;
  }
  let done = 0;
  let before: number | undefined;
  for (;;) {
    const filter = { ...filterOf(query), states: LETTERS, limit: PAGE.most, ...(before && { before }) };
    const rows = engine.store.list(filter);
    done += (await Promise.all(rows.map(work))).filter(Boolean).length;
    if (rows.length < PAGE.most) return done;
    before = rows.at(-1)?.seq;
  }
}

const noLetter = (id: string) =>
  new PetrelError('NotFound', `There is no dead letter "${id}".`, {
    fix: 'petrel dlq list shows those there are.',
  });

/** `engine` is undefined while there has never been an invocation. */
export async function administer(
  action: AdminAction,
  engine: Engine | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const query = new URL(request.url ?? '/', 'http://platform').searchParams;
  await engine?.store.settled();
  const id = query.get('id') ?? '';
  if (action === 'list') {
    const rows = engine?.store.list(filterOf(query)) ?? [];
    sendJson(response, 200, {
      items: rows.map((row) => ({ ...describe(engine as Engine, row, false), seq: row.seq })),
    });
    return;
  }
  if (action === 'get') {
    const row = engine?.store.get(id);
    if (engine === undefined || row === undefined)
      throw new PetrelError('NotFound', `There is no invocation "${id}".`, {
        why: 'Results are kept for a day, dead letters for a week.',
        fix: 'petrel invocations list shows those there are.',
      });
    const stored = engine.store.request(row.seq);
    sendJson(response, 200, {
      ...describe(engine, row, true),
      ...(stored === undefined
        ? {}
        : {
            request: {
              method: stored.method,
              path: stored.path,
              headers: stored.headers,
              bodyBase64: Buffer.from(stored.body).toString('base64'),
            },
          }),
    });
    return;
  }
  if (action === 'cancel') {
    if (!(await engine?.dispatcher.cancel(id)))
      throw new PetrelError('Conflict', `The invocation "${id}" is over, or there never was one.`, {
        fix: `petrel invocations get ${id}`,
      });
    sendJson(response, 200, { cancelled: id });
    return;
  }
  if (engine === undefined) {
    if (id !== '') throw noLetter(id);
    return sendJson(response, 200, { count: 0 });
  }
  const count = await onLetters(engine, query, async (row) =>
    action === 'redrive'
      ? engine.dispatcher.redrive(row.id)
      : (await engine.store.run({ do: 'purge', id: row.id })).id !== undefined,
  );
  sendJson(response, 200, { count });
}
