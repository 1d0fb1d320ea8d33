/** `name=value` texts as configurations say them. Pure. */
import { PetrelError } from '../../base/errors.ts';
import type { Json } from '../../kinds/object.ts';

const SECRET = /^secret\/([a-z0-9][a-z0-9.-]*):([\w.-]+)$/;

/** A value as it is typed: `secret/<name>:<key>` is a key of a Secret; numbers, true, false and JSON are what they look like. */
export function readValue(text: string): Json {
  const [, name, key] = SECRET.exec(text) ?? [];
  if (name !== undefined && key !== undefined) return { secretKeyRef: { name, key } };
  if (text === 'true' || text === 'false') return text === 'true';
  if (/^-?(0|[1-9]\d{0,14})(\.\d+)?$/.test(text)) return Number(text);
  if (!/^[[{"]/.test(text)) return text;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

/** `name=value` taken apart. Throws `InvalidArgument`; `option` names where it was typed. */
export function pairOf(text: string, option: string, example: string): [name: string, value: string] {
  const [, name, value] = /^([A-Za-z][\w.-]*)=(.*)$/s.exec(text.trim()) ?? [];
  if (name === undefined || value === undefined)
    throw new PetrelError('InvalidArgument', `${option}: "${text}" is no name=value`, {
      fix: `for example ${example}`,
    });
  return [name, value];
}

/** What is called otherwise in a configuration than people say. */
const SAID: Record<string, Record<string, string>> = {
  kafka: { topic: 'topics', brokers: 'bootstrapServers', group: 'consumerGroup' },
};

/** A configuration of a type with the names that it has. */
export function named(type: string, config: Record<string, Json>): Record<string, Json> {
  const names = Object.hasOwn(SAID, type) ? SAID[type] : undefined;
  return Object.fromEntries(Object.entries(config).map(([name, value]) => [names?.[name] ?? name, value]));
}

/** A configuration of `name=value` texts; `a.b=c` is the field `b` of `a`. */
export function configOf(texts: readonly string[], option: string, example: string): Record<string, Json> {
  const config: Record<string, Json> = {};
  for (const text of texts) {
    const [name, value] = pairOf(text, option, example);
    let into: Record<string, Json> = config;
    const path = name.split('.');
    const last = path.pop() ?? '';
    for (const part of path) {
      const inner = Object.hasOwn(into, part) ? into[part] : undefined;
      const next = inner !== null && typeof inner === 'object' && !Array.isArray(inner) ? inner : {};
      into[part] = next;
      into = next;
    }
    into[last] = readValue(value);
  }
  return config;
}
