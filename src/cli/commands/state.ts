import { readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { PetrelError } from '../../base/errors.ts';
import type { CommandContext } from '../command.ts';
import { actionOf } from '../services/invocations.ts';
import { openState, type StateItem } from '../services/state.ts';

/** Gets, sets, deletes and lists what a function keeps. */
export async function run(context: CommandContext): Promise<number> {
  const { args, out } = context;
  const action = actionOf('state', args, ['get', 'set', 'delete', 'list']);
  const [, name = '', key = '', value] = args.positionals;
  if (name === '' || (key === '' && action !== 'list')) {
    throw new PetrelError('InvalidArgument', `petrel state ${action} needs a function and a key`, {
      why: name === '' ? 'no function was named' : 'no key was named',
      fix: 'petrel state --help shows examples',
    });
  }
  const state = await openState(context, name, args.flag('blob'));
  if (action === 'list') {
    const items = await state.list(key, args.integer('limit') ?? 100);
    await out.data(items, () => {
      if (items.length === 0) return out.note('nothing is kept');
      out.table(['KEY', 'BYTES', 'TYPE', 'VERSION', 'EXPIRES'], items.map(cells));
    });
    return 0;
  }
  const ttl = args.integer('ttl');
  if (action === 'get') {
    const answer = await state.send('GET', key);
    await pipeline(answer, async (parts) => {
      for await (const part of parts) out.raw(part as Buffer);
    });
    return 0;
  }
  if (action === 'set') {
    await state.send('PUT', key, { body: await bodyOf(value), type: args.text('type'), ttl });
    await out.data({ set: key }, () => out.line(`Set ${key}`));
    return 0;
  }
  await state.send('DELETE', key);
  await out.data({ deleted: key }, () => out.line(`Deleted ${key}`));
  return 0;
}

const cells = ({ key, bytes, type, etag, expiresAt = '' }: StateItem) => [
  key,
  String(bytes),
  type,
  etag.slice(1, -1),
  expiresAt,
];

/** The value given; `@file` reads a file, nothing or `@-` standard input. */
async function bodyOf(value: string | undefined): Promise<Buffer> {
  if (value !== undefined && !value.startsWith('@')) return Buffer.from(value);
  if (value !== undefined && value !== '@-') {
    return readFile(value.slice(1)).catch((error) => {
      throw new PetrelError('FileNotFound', `the value ${value.slice(1)} cannot be read`, {
        why: (error as Error).message,
        fix: 'give the path of a readable file after @, or @- for stdin',
        cause: error,
      });
    });
  }
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
