/** Annotations of a Service that hold fields of a Function: who may call, and what requests stay with. Wrong ones are told when they are written. */
import { SERVICE_ANNOTATIONS } from '../../function.ts';
import { readAnnotated } from '../function-access.ts';
import type { Annotations } from './annotations.ts';
import { type KnativeProblem, problem } from './errors.ts';

export function validateOwnTerms(annotations: Annotations, path: string): KnativeProblem[] {
  return (['access', 'sticky'] as const).flatMap((field) => {
    const key = SERVICE_ANNOTATIONS[field];
    const text = annotations?.[key];
    if (text === undefined) return [];
    const { problems } = readAnnotated(field, text);
    return problems.map((why) => problem(`invalid value: ${why}`, `${path}.${key}`));
  });
}
