/** `petrel event send`: one event to a broker or a channel, by the way that every producer goes. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { buffer, text } from 'node:stream/consumers';
import { type ErrorCode, PetrelError } from '../../base/errors.ts';
import { request } from '../../base/http.ts';
import { type CloudEvent, newEvent } from '../../cloudevents/event.ts';
import { toHttp } from '../../cloudevents/http.ts';
import type { Args } from '../args.ts';
import type { CommandContext } from '../command.ts';
import { findPlatform } from '../session.ts';
import { streamKey } from './keys.ts';
import { pairOf } from './values.ts';

/** What the options say of the event when nobody says otherwise. */
const USUAL = { type: 'dev.petrel.test', source: '/petrel/cli' };

const CODES: Record<number, [code: ErrorCode, fix: string]> = {
  400: ['InvalidArgument', 'correct the attribute that the message names'],
  404: ['NotFound', 'petrel event streams shows what there is; petrel trigger create makes its broker'],
  413: ['InvalidArgument', 'send less, or raise eventing.petrel.dev/max-event-size of the broker'],
  507: ['DiskFull', 'free some space, or raise the limit of the broker; nothing of the event was kept'],
};

/** Sends it; prints what the event is called. */
export async function send({ args, home, out }: CommandContext): Promise<number> {
  const record = await findPlatform(home);
  if (!record?.gateway)
    throw new PetrelError('PlatformNotRunning', `no gateway runs on ${home.dir}`, {
      fix: 'petrel up --detach starts it',
    });
  const key = streamKey(args.optional(1) ?? 'default', args.text('namespace') ?? 'default');
  const event = await eventOf(args);
  const { headers, body } = toHttp(event);
  const outgoing = request(`http://${record.gateway}/events/${key}`, { method: 'POST', agent: false });
  for (let i = 0; i < headers.length; i += 2) outgoing.setHeader(headers[i]!, headers[i + 1]!);
  outgoing.setHeader('content-length', body?.length ?? 0);
  const answered = Promise.withResolvers<IncomingMessage>();
  outgoing.on('response', answered.resolve);
  outgoing.on('error', answered.reject);
  outgoing.end(body);
  const response = await out.progress(`sending to ${key}`, answered.promise).catch((error: Error) => {
    throw new PetrelError('ApiError', `the gateway gave no answer: ${error.message}`, {
      fix: 'petrel status',
      cause: error,
    });
  });
  const said = await text(response);
  const status = response.statusCode ?? 0;
  if (status >= 300) {
    const [code, fix] = CODES[status] ?? ['NotReady', 'try again in a moment'];
    throw new PetrelError(code, `${key} did not take the event: ${messageIn(said)}`, {
      why: `it answered ${status}`,
      fix,
    });
  }
  const { id, source, type } = event;
  await out.data({ stream: key, id, source, type }, () =>
    out.line(`${id} is safe in ${key.replace('/', ' ')}`),
  );
  return 0;
}

/** What the answer's body says; those of the gateway are JSON. */
function messageIn(said: string): string {
  try {
    const { message, error } = JSON.parse(said) as { message?: string; error?: string };
    return message ?? error ?? said;
  } catch {
    return said.trim() || 'it said nothing';
  }
}

/** The event that the options describe. Throws `InvalidEvent`. */
async function eventOf(args: Args): Promise<CloudEvent> {
  const data = await dataOf(args.text('data'));
  const extensions = Object.fromEntries(
    args.list('attribute').map((pair) => pairOf(pair, '--attribute', '--attribute partitionkey=7')),
  );
  return newEvent(
    {
      type: args.text('type') ?? USUAL.type,
      source: args.text('source') ?? USUAL.source,
      id: args.text('id'),
      subject: args.text('subject'),
      datacontenttype: args.text('content-type') ?? (data === undefined ? undefined : contentTypeOf(data)),
      extensions,
      data,
    },
    Date.now(),
    randomUUID,
  );
}

/** `@file` reads a file, `@-` standard input. */
async function dataOf(given: string | undefined): Promise<Buffer | undefined> {
  if (given === undefined) return undefined;
  if (!given.startsWith('@')) return Buffer.from(given);
  if (given === '@-') return buffer(process.stdin);
  return readFile(given.slice(1)).catch((error: Error) => {
    throw new PetrelError('FileNotFound', `the data ${given.slice(1)} cannot be read`, {
      why: error.message,
      fix: 'give the path of a readable file after @, or @- for stdin',
      cause: error,
    });
  });
}

function contentTypeOf(data: Buffer): string {
  try {
    JSON.parse(data.toString());
    return 'application/json';
  } catch {
    return 'text/plain; charset=utf-8';
  }
}
