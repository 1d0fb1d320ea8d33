/** After a request was accepted: its id, or with patience its answer. */
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { PetrelError } from '../../base/errors.ts';
import { get } from '../../base/http.ts';
import type { PlatformRecord } from '../../platform/home.ts';
import type { Output } from '../output.ts';
import { type InvocationView, resultBody } from './invocations.ts';

/** Seconds that the platform holds one question back. */
const WAIT_SECONDS = 60;

/** Prints the id, or waits for the end and prints the answer. Exit code 1 when it did not succeed. */
export async function tellAccepted(options: {
  record: PlatformRecord;
  response: IncomingMessage;
  out: Output;
  wait: boolean;
}): Promise<number> {
  const { record, response, out, wait } = options;
  response.resume();
  const id = String(response.headers['x-petrel-invocation-id']);
  if (!wait) {
    await out.data({ id, location: response.headers.location ?? null }, () => out.line(id));
    return 0;
  }
  const url = `http://${record.gateway}${response.headers.location}?wait=${WAIT_SECONDS}`;
  let item: InvocationView;
  do item = await out.progress(`waiting for ${id}`, ask(url));
  while (item.status === 'queued' || item.status === 'running');
  if (item.result) out.raw(resultBody(item.result));
  if (item.status === 'succeeded') return 0;
  out.note(`\n${id} ${item.status}: ${item.reason ?? ''}`);
  return 1;
}

async function ask(url: string): Promise<InvocationView> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get(url, { agent: false }, resolve).on('error', reject);
  try {
    const response = await promise;
    if (response.statusCode !== 200)
      throw new Error(`it answered ${response.statusCode}: ${await text(response)}`);
    return JSON.parse(await text(response)) as InvocationView;
  } catch (error) {
    throw new PetrelError(
      'ApiError',
      `nobody could be asked how the invocation goes: ${(error as Error).message}`,
      {
        fix: 'petrel status; petrel invocations get <id> shows it later',
        cause: error,
      },
    );
  }
}
