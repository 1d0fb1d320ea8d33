/** Events as people read them. */
import type { DeadLetter, EventHead, EventPath } from '../../eventing/model.ts';
import type { Output } from '../output.ts';
import { shownKey } from './keys.ts';

/** Data in one line of a list, characters. */
const LINE = 120;
/** Attributes that lists show in columns of their own. */
const SHOWN = ['id', 'source', 'type', 'specversion'];

/** Time of day, of another day with the date. */
export function clockTime(at: number, now: number): string {
  const text = new Date(at).toISOString();
  return Math.abs(now - at) < 43_200_000 ? text.slice(11, 23) : text.slice(0, 19);
}

/** The beginning of the data, on one line. */
export function dataLine({ data, base64, bytes }: EventHead): string {
  if (data === undefined) return '';
  if (base64) return `(${bytes} bytes)`;
  const line = data.replace(/\s+/g, ' ').trim();
  return line.length > LINE ? `${line.slice(0, LINE)}…` : line;
}

/** Where the answer of a function that failed has the function's own words. */
const OWN_WORDS = /^(.*?)\{"component":.*?"message":("(?:[^"\\]|\\.)*").*$/s;

/** Why a delivery failed, without what a function's failure carries for programs: the words of its error are enough in a list. */
export function shortReason(reason: string): string {
  const [, before, message] = OWN_WORDS.exec(reason) ?? [];
  return before === undefined || message === undefined ? reason : `${before}${JSON.parse(message) as string}`;
}

const text = (value: EventHead['attributes'][string] | undefined): string => String(value ?? '');

/** One line of `petrel event tail`. */
export function eventLine(at: number, event: EventHead, now: number): string {
  const { type, source, id } = event.attributes;
  return [clockTime(at, now), text(type), text(source), text(id), dataLine(event)].join('  ').trimEnd();
}

/** All of an event: attributes, an empty line, the data. */
export function printEvent(out: Output, event: EventHead): void {
  const { id, source, type, specversion, ...others } = event.attributes;
  const rows = Object.entries({ id, source, type, ...others }).filter(([, value]) => value !== undefined);
  for (const [name, value] of rows) out.line(`${`${name}:`.padEnd(18)}${value}`);
  if (event.data === undefined) return;
  out.line('');
  out.raw(event.base64 ? Buffer.from(event.data, 'base64') : event.data);
  out.line('');
}

/** An event and what became of it, step by step. */
export function printPath(out: Output, path: EventPath, namespace: string): void {
  const { id, type, source } = path.event.attributes;
  const now = Date.now();
  out.line(`${text(type)}  ${text(source)}  ${text(id)}`);
  const more = Object.entries(path.event.attributes).filter(([name]) => !SHOWN.includes(name));
  if (more.length > 0) out.line(`  ${more.map(([name, value]) => `${name}=${value}`).join(' ')}`);
  const data = dataLine(path.event);
  if (data !== '') out.line(`  ${data}`);
  const rows = path.steps
    .filter(({ what }) => what !== 'filtered')
    .map(({ at, what, subscription, status, attempt, message }) => [
      clockTime(at, now),
      what,
      shownKey(subscription, namespace),
      [
        status === undefined ? '' : String(status),
        attempt === undefined ? '' : `attempt ${attempt}`,
        shortReason(message ?? ''),
      ]
        .filter((part) => part !== '')
        .join(', '),
    ]);
  const accepted = [
    clockTime(path.acceptedAt, now),
    'accepted',
    shownKey(path.stream, namespace),
    `offset ${path.offset}`,
  ];
  const lines = [accepted, ...(rows.length > 0 ? rows : [['', 'wanted by nobody', '', '']])];
  const widths = [0, 1, 2].map((column) => Math.max(...lines.map((line) => line[column]!.length)));
  for (const line of lines)
    out.line(`  ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd());
}

/** The id of a dead event, which tells it from an invocation's. */
export const letterId = (id: number): string => `e${id}`;

/** The number in such an id; undefined: it is none. */
export function letterNumber(id: string): number | undefined {
  const [, number] = /^e(\d{1,15})$/.exec(id) ?? [];
  return number === undefined ? undefined : Number(number);
}

/** A dead letter of an event with all that is known. */
export function printLetter(out: Output, letter: DeadLetter): void {
  const lines: [string, string | undefined][] = [
    ['Id', letterId(letter.id)],
    ['Subscription', letter.subscription],
    ['Stream', letter.stream],
    ['Died', new Date(letter.at).toISOString()],
    ['Attempts', String(letter.attempts)],
    ['Answer', letter.status === undefined ? 'none' : String(letter.status)],
    ['Reason', shortReason(letter.reason)],
  ];
  for (const [label, value] of lines) if (value !== undefined) out.line(`${`${label}:`.padEnd(18)}${value}`);
  out.line('\nEvent');
  printEvent(out, letter.event);
}
