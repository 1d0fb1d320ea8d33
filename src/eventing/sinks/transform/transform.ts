/**
 * Makes other events of events, by JSONata: what comes out is the answer, or goes on to a sink whose answer comes back. Source of the rules:
 * knative.dev/eventing `transform-jsonata`; there each transform is a Deployment.
 */
import { messageOf } from '../../../base/errors.ts';
import type { CloudEvent } from '../../../cloudevents/event.ts';
import { claimsToBeEvent, fromHttp } from '../../../cloudevents/http.ts';
import { fromJson, toJson } from '../../../cloudevents/json.ts';
import { required } from '../../../kinds/field.ts';
import type { Outcome } from '../../delivery/contract.ts';
import type { Target } from '../../model.ts';
import { type SinkContext, type SinkModule, SinkRefusal } from '../contract.ts';
import { Evaluator } from './evaluator.ts';

export interface TransformConfig {
  expression: string;
  /** Where results go; absent: they are the answer. */
  sink?: Target;
  /** What the sink's answer becomes. */
  reply?: string;
  /** The sink's answer goes nowhere. */
  discard?: boolean;
}

/** Of one exchange with the sink. */
const TIMEOUT_MS = 30_000;

let evaluator: Evaluator | undefined;
let users = 0;

function eventOf(json: string): CloudEvent {
  try {
    return fromJson(Buffer.from(json));
  } catch (error) {
    throw new SinkRefusal(500, `the result of the expression is no event: ${messageOf(error)}`);
  }
}

/** What the sink answered as JSON: an event, or whatever it is. */
function answerOf({ reply, headers, body }: Outcome): string {
  if (reply !== undefined) return toJson(reply).toString('utf8');
  if (claimsToBeEvent(headers)) return toJson(fromHttp(headers, body)).toString('utf8');
  const text = body.toString('utf8');
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(text);
  }
}

async function start({ config, sender, report, clock }: SinkContext<TransformConfig>) {
  evaluator ??= new Evaluator(clock);
  users++;
  const { expression, sink, reply, discard = false } = config;
  const { evaluate } = { evaluate: evaluator.evaluate.bind(evaluator) };

  const transformed = async (by: string, input: string): Promise<CloudEvent> => {
    const result = await evaluate({ expression: by, input });
    if (!result.ok) throw new SinkRefusal(500, `the event could not be transformed: ${result.message}`);
    return eventOf(result.output);
  };

  const through = async (to: Target, event: CloudEvent): Promise<CloudEvent | undefined> => {
    const outcome = await sender.send(to, [event], { timeoutMs: TIMEOUT_MS, wantsReply: !discard });
    const { status, error = 'there was no answer' } = outcome;
    if (status === undefined) throw new SinkRefusal(outcome.unreachable ? 503 : 502, `the sink: ${error}`);
    // What the sink says is what whoever sent the event hears.
    if (status < 200 || status >= 300) throw new SinkRefusal(status, `the sink answered ${status}`);
    if (discard) return undefined;
    if (reply !== undefined) return transformed(reply, answerOf(outcome));
    if (outcome.reply !== undefined) return outcome.reply;
    return claimsToBeEvent(outcome.headers) ? fromHttp(outcome.headers, outcome.body) : undefined;
  };

  // Begins the thread, so that the first event does not wait for it.
  for (const one of [expression, reply])
    if (one !== undefined) {
      const readable = await evaluate({ expression: one });
      if (!readable.ok) report({ ready: false, reason: 'InvalidExpression', message: readable.message });
    }

  return {
    async send(event: CloudEvent) {
      const result = await transformed(expression, toJson(event).toString('utf8'));
      return sink === undefined ? result : through(sink, result);
    },
    async stop() {
      if (--users > 0) return;
      evaluator?.stop();
      evaluator = undefined;
    },
  };
}

export const transformSink: SinkModule<TransformConfig> = {
  type: 'transform',
  check: ({ expression }) =>
    typeof expression === 'string' && expression !== '' ? [] : [required('expression', 'JSONata')],
  start,
};
