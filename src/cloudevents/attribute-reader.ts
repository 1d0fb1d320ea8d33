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

/** Readers of extensions by name, so that all filters share them. */
const readers = new Map<string, AttributeReader>();
const MOST_READERS = 1_000;

/** What `attribute(event, name)` says, faster for a name that is known beforehand and asked for by many filters. */
export function attributeReader(name: string): AttributeReader {
  const known = (Object.hasOwn(CORE, name) ? CORE[name] : undefined) ?? readers.get(name);
  if (known) return known;
  const reader = extensionReader(name);
  if (readers.size < MOST_READERS) readers.set(name, reader);
  return reader;
}

/**
 * Looking up a name that differs from call to call is the most expensive part of a filter, above all where it is not there.
 * A thousand filters are asked about the same event one after the other, so the last answer is kept, with the extensions
 * (never the data) of the event that it is of.
 */
function extensionReader(name: string): AttributeReader {
  // Names that plain objects inherit: one is made of lower-case letters alone, `constructor`.
  const inherited = name in {};
  let last: CloudEvent['extensions'] | undefined;
  let value: AttributeValue | undefined;
  return ({ extensions }) => {
    if (extensions === last) return value;
    last = extensions;
    value = inherited && !Object.hasOwn(extensions, name) ? undefined : extensions[name];
    return value;
  };
}
