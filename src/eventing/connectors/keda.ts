/** Reading KEDA's trigger metadata, where everything is text. Pure. */
import { PetrelError } from '../../base/errors.ts';
import type { Json } from '../../kinds/object.ts';

/** @throws PetrelError `InvalidArgument` when it is not there. */
export function required(metadata: Record<string, string>, name: string): string {
  const value = metadata[name];
  if (value === undefined || value === '')
    throw new PetrelError('InvalidArgument', `the trigger's metadata has no ${name}`, {
      fix: `Set metadata.${name}, as the scaler's page of KEDA says.`,
    });
  return value;
}

/** Of several names for the same thing, the first that is there. */
export function either(metadata: Record<string, string>, ...names: string[]): string | undefined {
  for (const name of names) if (metadata[name]) return metadata[name];
  return undefined;
}

/** Items separated by commas. */
export const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

/** Undefined where it says nothing. */
export const flag = (text: string | undefined): boolean | undefined =>
  text === undefined ? undefined : text === 'true' || text === 'enable';

/** @throws PetrelError `InvalidArgument` when it is no number. */
export function count(metadata: Record<string, string>, name: string): number | undefined {
  const text = metadata[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value)) return value;
  throw new PetrelError('InvalidArgument', `the trigger's metadata.${name} is "${text}", not an integer`, {
    fix: 'Write it as an integer.',
  });
}

/** The fields that have a value. */
export function compact(fields: Record<string, Json | undefined>): Record<string, Json> {
  const kept: Record<string, Json> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) kept[name] = value;
  return kept;
}
