/** Asking the platform about events. */
import { PetrelError } from '../../base/errors.ts';
import type { Questions } from '../../eventing/model.ts';
import { askPlatform } from '../../functions/packages/client.ts';
import type { CommandContext } from '../command.ts';

/** Row of the platform's socket that answers. */
const PATH = '/events/ask';

/** One question. Throws the `PetrelError` that it was answered with: `NotFound` also when there is nothing of events at all. */
export async function askEvents<K extends keyof Questions>(
  { home }: Pick<CommandContext, 'home'>,
  question: K,
  input: Questions[K]['input'],
): Promise<Questions[K]['answer']> {
  const body = Buffer.from(JSON.stringify({ question, input }));
  const answer = await askPlatform<{ answer: Questions[K]['answer'] }>(home.socket, 'POST', PATH, body);
  if (answer === undefined) throw new PetrelError('Internal', `the platform did not answer "${question}"`);
  return answer.answer;
}

/** The same, where nothing is an answer too. */
export async function askEventsIfAny<K extends keyof Questions>(
  context: Pick<CommandContext, 'home'>,
  question: K,
  input: Questions[K]['input'],
  none: Questions[K]['answer'],
): Promise<Questions[K]['answer']> {
  try {
    return await askEvents(context, question, input);
  } catch (error) {
    if (error instanceof PetrelError && error.code === 'NotFound') return none;
    throw error;
  }
}
