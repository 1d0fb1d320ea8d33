/** Dead letters of both kinds in one list: invocations and events. */
import type { DeadLetter } from '../../eventing/model.ts';
import { since } from '../../kinds/human.ts';
import type { Output } from '../output.ts';
import type { InvocationView } from '../services/invocations.ts';
import { letterId, shortReason } from './show.ts';

/** A dead letter as `petrel dlq list -o json` has it. */
export type LetterView = (InvocationView & { kind: 'invocation' }) | EventLetter;

export type EventLetter = Omit<DeadLetter, 'id' | 'at'> & { kind: 'event'; id: string; diedAt: string };

export function eventLetter({ id, at, ...letter }: DeadLetter): EventLetter {
  return { kind: 'event', id: letterId(id), diedAt: new Date(at).toISOString(), ...letter };
}

/** Newest first, at most `limit`. */
export function merged(
  invocations: readonly InvocationView[],
  events: readonly DeadLetter[],
  limit: number,
): LetterView[] {
  const all: LetterView[] = [
    ...invocations.map((one) => ({ kind: 'invocation' as const, ...one })),
    ...events.map(eventLetter),
  ];
  const diedAt = (one: LetterView) =>
    Date.parse(one.kind === 'event' ? one.diedAt : (one.finishedAt ?? one.acceptedAt));
  return all.sort((a, b) => diedAt(b) - diedAt(a)).slice(0, limit);
}

export function printLetters(out: Output, letters: readonly LetterView[], namespaces: boolean): void {
  const now = Date.now();
  out.table(
    [
      ...(namespaces ? ['NAMESPACE'] : []),
      ...['ID', 'OF', 'EVENT', 'STATUS', 'ATTEMPTS', 'ANSWER', 'AGE', 'REASON'],
    ],
    letters.map((one) => {
      if (one.kind === 'event') {
        const [kind, namespace = '', name] = one.subscription.split('/');
        return [
          ...(namespaces ? [namespace] : []),
          one.id,
          `${kind}/${name}`,
          String(one.event.attributes.type ?? ''),
          'dead',
          String(one.attempts),
          String(one.status ?? 'none'),
          since(one.diedAt, now),
          shortReason(one.reason),
        ];
      }
      const last = one.attempts.at(-1);
      return [
        ...(namespaces ? [one.namespace] : []),
        one.id,
        one.destination === undefined ? one.function : `${one.function} → ${one.destination}`,
        '',
        one.status,
        String(one.attempts.length),
        last === undefined ? '' : String(last.status ?? 'none'),
        since(one.acceptedAt, now),
        one.reason ?? '',
      ];
    }),
  );
}
