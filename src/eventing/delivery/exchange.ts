/** One attempt with everything that belongs to it: the request, what its answer means, and the reply's way on. */
import type { Clock } from '../../base/clock.ts';
import { type CloudEvent, makeEvent } from '../../cloudevents/event.ts';
import { mediaType } from '../connectors/messages.ts';
import type { DeliveryTerms, Target } from '../model.ts';
import type { Outcome, Sender } from './contract.ts';
import { following, type Task, withoutOwn } from './task.ts';
import { type Failure, type Judgement, judge, withError } from './verdict.ts';

/** Type of an event that is made of an answer. */
export const ANSWER_TYPE = 'dev.petrel.source.answer';

/** What an attempt came to. */
export type Attempted =
  | { is: 'done'; status: number | undefined; replied: number }
  | { is: 'partial'; failed: ReadonlySet<string>; failure: Failure; destination: string }
  | { is: 'failed'; failure: Failure; destination: string }
  /** The subscriber has answered; the first of these replies was not taken. */
  | { is: 'unpassed'; replies: readonly CloudEvent[]; failure: Failure; destination: string }
  /** `replies`: the subscriber has answered, and they are not passed on. */
  | { is: 'postponed'; message: string; replies?: readonly CloudEvent[] };

/** Who is delivered to. */
export interface Party {
  /** Absent: the event itself is the reply. */
  subscriber: Target | undefined;
  reply: Target | undefined;
  terms: DeliveryTerms;
  /** The stream is a broker's: an answer is empty or an event, and the platform's own attributes are not shown. */
  broker: boolean;
  /** On every request, as flat pairs; see `headersOf`. */
  headers: string[];
  /** The attempt is given up when it aborts. */
  signal?: AbortSignal;
}

/** What every request of a subscription or source says: whose it is. Source: knative.dev/eventing `pkg/apis/http.go`. */
export const headersOf = (key: string): string[] => ['kn-namespace', key.split('/')[1] ?? ''];

const optionsOf = ({ terms: { timeoutMs, format }, headers, signal }: Party) => ({
  timeoutMs,
  format,
  headers,
  signal,
});

/** Delivers events to the subscriber of a party, and its answers to where they go. */
export async function attempt(
  sender: Sender,
  clock: Clock,
  party: Party,
  tasks: readonly Task[],
): Promise<Attempted> {
  const { subscriber, broker } = party;
  const events = tasks.map((task) => (broker ? withoutOwn(task.item.event) : task.item.event));
  if (subscriber === undefined) return pass(sender, clock, party, tasks[0]!, events);
  const outcome = await sender.send(subscriber, events, {
    ...optionsOf(party),
    wantsReply: true,
    // Brokers may lead to each other: what goes from one to the next comes to an end as replies do.
    ...(broker ? { toBroker: () => tasks.map(({ item }, i) => following(item.event, events[i]!)) } : {}),
  });
  const batch = events.length > 1 ? new Set(events.map(({ id }) => id)) : undefined;
  const judged = judge(outcome, { strict: broker && subscriber.anyAnswer !== true, batch }, clock.now());
  const { status } = outcome;
  const { answers } = subscriber;
  if (
    answers !== undefined &&
    (judged.is === 'replied' || (judged.is === 'done' && outcome.body.length > 0))
  ) {
    const replies =
      judged.is === 'replied' ? judged.replies : [answerOf(outcome, events[0]!, answers.source)];
    return pass(sender, clock, party, tasks[0]!, replies, status);
  }
  switch (judged.is) {
    case 'done':
      return { is: 'done', status, replied: 0 };
    case 'replied':
      return pass(sender, clock, party, tasks[0]!, judged.replies, status);
    case 'partial': {
      const failure = {
        retryable: true,
        status,
        body: outcome.body,
        message: 'it could not process this one',
      };
      return { is: 'partial', failed: judged.failed, failure, destination: subscriber.url };
    }
    case 'failed':
      return { is: 'failed', failure: judged.failure, destination: subscriber.url };
    default:
      return judged;
  }
}

/** The event about an answer that is none; asked again, it has the same id. */
function answerOf({ headers, body }: Outcome, asked: CloudEvent, source: string): CloudEvent {
  const at = headers.indexOf('content-type');
  const type = mediaType(at % 2 === 0 ? headers[at + 1] : undefined);
  return makeEvent(asked.id, source, ANSWER_TYPE, undefined, undefined, type, undefined, {}, body);
}

/** Passes replies on, one after the other. */
export async function pass(
  sender: Sender,
  clock: Clock,
  party: Party,
  task: Task,
  replies: readonly CloudEvent[],
  status?: number,
): Promise<Attempted> {
  const { broker } = party;
  const reply = party.subscriber?.answers?.to ?? party.reply;
  if (reply === undefined) return { is: 'done', status, replied: 0 };
  const answered = task.item.event;
  for (const [i, one] of replies.entries()) {
    const event = broker ? following(answered, one) : one;
    const outcome = await sender.send(reply, [event], { ...optionsOf(party), wantsReply: false });
    const judged = judge(outcome, { strict: false }, clock.now());
    const left = replies.slice(i);
    if (judged.is === 'postponed') return { ...judged, replies: left };
    if (judged.is === 'failed') {
      const failure = { ...judged.failure, message: `the reply was not taken: ${judged.failure.message}` };
      return { is: 'unpassed', replies: left, failure, destination: reply.url };
    }
  }
  return { is: 'done', status, replied: replies.length };
}

/** Delivers to the dead letter sink what its subscriber did not take. */
export async function bringToDeadLetters(
  sender: Sender,
  clock: Clock,
  party: Party,
  deadLetter: Target,
  task: Task,
): Promise<Attempted> {
  const { subscriber } = party;
  const { event } = task.item;
  const { last } = task;
  const destination = last?.destination || subscriber?.url || '';
  // Its sink may be a broker, even the one that it came from.
  const letter = withError(
    party.broker ? following(event, withoutOwn(event)) : event,
    destination,
    last ?? {},
  );
  const outcome = await sender.send(deadLetter, [letter], { ...optionsOf(party), wantsReply: false });
  const judged: Judgement = judge(outcome, { strict: false }, clock.now());
  if (judged.is === 'postponed') return judged;
  if (judged.is === 'failed') return { is: 'failed', failure: judged.failure, destination: deadLetter.url };
  return { is: 'done', status: outcome.status, replied: 0 };
}
