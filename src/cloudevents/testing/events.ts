/** For tests: arbitrary but repeatable events, and where the suites of others lie. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type AttributeValue, type CloudEvent, makeEvent, validate } from '../event.ts';

/** Where a suite of a public standard lies, beside the checkout; `skip` says that it does not, and is printed. */
export function suiteFolder(name: string): { path: string; skip: string | false } {
  const checkout = join(import.meta.dirname, '../../..');
  const paths = [join(checkout, '../shared/suites', name), join(checkout, '../../shared/suites', name)];
  const path = paths.find((candidate) => existsSync(candidate));
  return { path: path ?? paths[0]!, skip: path === undefined && `${paths[0]} is not there` };
}

const TEXT = [...'aZ09 "%\\\'<>&/:;,=?#~é€😀\u{10fffd}\u00a0'];
const URI = [...'abc/:?#%20-._~@!$&()*+,;=é'].map((char) => (char === '%' ? '%41' : char));
const NAME = [...'abcdefghijklmnopqrstuvwxyz0123456789'];
const JSON_DATA = [
  '{"a":12345678901234567890.00}',
  '[]',
  'null',
  '"text €"',
  '{ "b" : [1 , true] }',
  '1e400',
];

/** A valid event with anything in it that a valid event can have; `strings`: extensions are strings alone. */
export function arbitraryEvent(random: () => number, strings = false): CloudEvent {
  const below = (count: number) => Math.floor(random() * count);
  const of = (chars: readonly string[], most: number) =>
    Array.from({ length: 1 + below(most) }, () => chars[below(chars.length)]).join('');
  const maybe = <T>(make: () => T): T | undefined => (random() < 0.5 ? make() : undefined);
  const value = (): AttributeValue => {
    const kind = strings ? 0 : below(4);
    if (kind === 1) return below(2) === 0;
    if (kind === 2) return below(2 ** 32) - 2 ** 31;
    return random() < 0.1 ? '' : of(TEXT, 30);
  };
  const extensions: Record<string, AttributeValue> = {};
  for (let left = below(5); left > 0; left--) extensions[`x${of(NAME, 8)}`] = value();
  if (random() < 0.2) extensions.constructor = value() as never;
  const [type, data] = arbitraryData(below, random);
  return validate(
    makeEvent(
      of(TEXT, 20),
      of(URI, 20),
      of(TEXT, 200),
      maybe(() => of(TEXT, 20)),
      maybe(() => new Date(below(2 ** 31) * 1000).toISOString()),
      type,
      maybe(() => of(URI, 20)),
      extensions,
      data,
    ),
  );
}

function arbitraryData(
  below: (count: number) => number,
  random: () => number,
): [string | undefined, Buffer | undefined] {
  const bytes = Buffer.from(Array.from({ length: 1 + below(40) }, () => below(256)));
  const json = Buffer.from(JSON_DATA[below(JSON_DATA.length)] ?? '');
  const kinds: [string | undefined, Buffer | undefined][] = [
    [undefined, undefined],
    ['text/plain', undefined],
    [undefined, bytes],
    ['application/octet-stream', bytes],
    ['application/json', bytes],
    ['text/plain; charset=iso-8859-1', bytes],
    ['application/json', json],
    ['application/vnd.x+json; charset=utf-8', json],
    ['text/xml', Buffer.from('<a b="\u0001é€😀"/>\r\n')],
  ];
  return kinds[Math.floor(random() * kinds.length)] ?? [undefined, undefined];
}
