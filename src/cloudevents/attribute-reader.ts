/** Reading one attribute of many events: by a function made for its name. */
import type { AttributeValue, CloudEvent } from './event.ts';

export type AttributeReader = (event: CloudEvent) => AttributeValue | undefined;

const CORE: Readonly<Record<string, AttributeReader>> = {
  id: (event) => event.id,
  source: (event) => event.source,
  type: (event) => event.type,
  specversion: (event) => event.specversion,
  subject: (event) => event.subject,
  time: (event) => event.time,
  datacontenttype: (event) => event.datacontenttype,
  dataschema: (event) => event.dataschema,
};

/** What `attribute(event, name)` says, faster for a name that is known beforehand. */
export function attributeReader(name: string): AttributeReader {
  const core = Object.hasOwn(CORE, name) ? CORE[name] : undefined;
  if (core) return core;
  // Names that plain objects inherit: one is made of lower-case letters alone, `constructor`.
  if (name in {}) return ({ extensions }) => (Object.hasOwn(extensions, name) ? extensions[name] : undefined);
  return ({ extensions }) => extensions[name];
}
