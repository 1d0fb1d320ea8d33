/** Values that objects take from Secrets, put where the engine needs them. They are never logged and never written into a status. */
import type { Json } from '../../kinds/object.ts';
import { SECRETS } from '../../kube/refs.ts';
import type { Reader } from './objects.ts';
import { notFound } from './resources.ts';

/** A value of a Secret, or why there is none. */
export type SecretText = { ok: true; text: string | undefined } | { ok: false; message: string };

/** The text under a key of a Secret; `optional`: it may be missing. */
export async function secretText(
  reader: Reader,
  namespace: string,
  { name, key, optional }: { name: string; key: string; optional?: boolean },
): Promise<SecretText> {
  const secret = await reader.get(SECRETS, namespace, name);
  const value: string | undefined = secret?.data?.[key];
  if (value !== undefined) return { ok: true, text: Buffer.from(value, 'base64').toString('utf8') };
  if (optional) return { ok: true, text: undefined };
  const message =
    secret === undefined
      ? notFound(SECRETS, name)
      : `secret ${JSON.stringify(name)} has no key ${JSON.stringify(key)}`;
  return { ok: false, message };
}

/** A configuration with `{secretKeyRef: {name, key}}` replaced by what it names, at any depth; the first that is missing is told, and left out. */
export async function withSecrets(
  reader: Reader,
  namespace: string,
  config: Record<string, Json>,
): Promise<
  { ok: true; config: Record<string, Json> } | { ok: false; config: Record<string, Json>; message: string }
> {
  let problem: string | undefined;
  const walk = async (value: Json, depth: number): Promise<Json | undefined> => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) {
      const items: Json[] = [];
      for (const item of value) {
        const walked = await walk(item, depth + 1);
        if (walked !== undefined) items.push(walked);
      }
      return items;
    }
    const { secretKeyRef } = value;
    if (
      depth > 0 &&
      typeof secretKeyRef === 'object' &&
      secretKeyRef !== null &&
      !Array.isArray(secretKeyRef)
    ) {
      const { name, key, optional } = secretKeyRef;
      const found = await secretText(reader, namespace, {
        name: String(name),
        key: String(key),
        optional: optional === true,
      });
      if (found.ok) return found.text;
      problem ??= found.message;
      return undefined;
    }
    const result: Record<string, Json> = {};
    for (const [key, item] of Object.entries(value)) {
      const walked = await walk(item, depth + 1);
      if (walked !== undefined) result[key] = walked;
    }
    return result;
  };
  const walked = (await walk(config, 0)) as Record<string, Json>;
  return problem === undefined
    ? { ok: true, config: walked }
    : { ok: false, config: walked, message: problem };
}
