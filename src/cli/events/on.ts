/** What `petrel deploy --on` says, as objects: `cron: 0 9 * * 1-5 Europe/Berlin`, `kafka: topic=orders`, `type=com.shop.order.*`. Pure. */
import { PetrelError } from '../../base/errors.ts';
import { zoned } from '../../kinds/cron-schedule.ts';
import type { Json, KubeObject } from '../../kinds/object.ts';
import { SOURCE_TYPES } from './check.ts';
import { configOf, named, pairOf } from './values.ts';

/** What a function is to be called for. */
export type Wish =
  | { kind: 'source'; type: string; config: Record<string, Json> }
  | { kind: 'trigger'; broker: string; filters: Json[] };

const EXAMPLE =
  "--on 'cron: 0 9 * * 1-5 Europe/Berlin', --on 'kafka: topic=orders', --on 'type=com.shop.order.*'";
/** Words that are shorter than the type of the source. */
const TYPES: Record<string, string> = {
  cron: 'timer',
  postgres: 'postgresql',
  github: 'webhook',
};

/** The words that `--on` may begin with. */
const WORDS: readonly string[] = [...new Set(['cron', 'github', 'cesql', ...SOURCE_TYPES])];

const bad = (text: string, why: string, option = '--on'): PetrelError =>
  new PetrelError('InvalidArgument', `${option} "${text}" is not understood`, {
    why,
    fix: option === '--on' ? EXAMPLE : `for example ${option} 'type=com.shop.order.*'`,
  });

/** What names the broker, among attributes. */
const BROKER = 'broker=';

/** Parts between commas or spaces; neither splits what stands in quotes or brackets. */
function partsOf(text: string): string[] {
  return text.match(/(?:[^\s,"[{]|"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\{[^}]*\})+/g) ?? [];
}

/** A schedule may have its zone behind it. */
function timer(text: string, rest: string): Record<string, Json> {
  const { cron, timeZone } = zoned(rest);
  const words = cron.split(/\s+/);
  const last = words.at(-1) ?? '';
  const hasZone =
    words.length > 1 &&
    /^[A-Z][\w+-]*(\/[\w+-]+)*$/.test(last) &&
    !/^(MON|TUE|WED|THU|FRI|SAT|SUN)$/i.test(last);
  const schedule = (hasZone ? words.slice(0, -1) : words).join(' ');
  const zone = hasZone ? last : timeZone;
  if (schedule === '') throw bad(text, 'there is no schedule');
  return { schedule, ...(zone === undefined ? {} : { timeZone: zone }) };
}

/** Attributes and what they must be: `*` at the end or the beginning is anything. */
function filtersOf(pairs: readonly (readonly [string, string])[]): Json[] {
  const tables: Record<'exact' | 'prefix' | 'suffix', Record<string, string>> = {
    exact: {},
    prefix: {},
    suffix: {},
  };
  for (const [name, value] of pairs) {
    if (value.length > 1 && value.endsWith('*')) tables.prefix[name] = value.slice(0, -1);
    else if (value.length > 1 && value.startsWith('*')) tables.suffix[name] = value.slice(1);
    else tables.exact[name] = value === '*' ? '' : value;
  }
  return Object.entries(tables).flatMap(([dialect, table]) =>
    Object.keys(table).length > 0 ? [{ [dialect]: table }] : [],
  );
}

/** Whether `*` stands where no filter of Knative's has it: in the middle, or at both ends. */
const starsElsewhere = (value: string): boolean => value.length > 1 && /\*.*\*|.\*./s.test(value);

/** Filters of `name=value` parts. Throws `InvalidArgument`, which names `option`. */
function filtersFrom(text: string, parts: readonly string[], option: string): Json[] {
  const pairs = parts.map((part) => {
    if (part.includes('=')) return pairOf(part, option, EXAMPLE);
    const why =
      option === '--on'
        ? `"${part}" is no attribute=value, and no word for a source with a colon behind it: ${WORDS.join(', ')}`
        : `"${part}" is no attribute=value`;
    throw bad(text, why, option);
  });
  for (const [name, value] of pairs) {
    if (!/^[a-z][a-z0-9]*$/.test(name))
      throw bad(text, `${name} is no attribute of events: those have lower-case letters and digits`, option);
    if (starsElsewhere(value))
      throw bad(
        text,
        `* is anything at the end or at the beginning of a value only; an expression can say more: ${name} LIKE '${value.replaceAll('*', '%')}'`,
        option,
      );
  }
  return filtersOf(pairs);
}

/** Reads one `--filter`: `type=com.shop.*`, several with a comma between them. Throws `InvalidArgument`. */
export function parseFilter(text: string): Json[] {
  return filtersFrom(text, partsOf(text), '--filter');
}

/** Reads one `--on`. Throws `InvalidArgument`. */
export function parseOn(text: string): Wish {
  const [, word, rest = ''] = /^\s*([a-z][a-z0-9]*):\s*(.*)$/s.exec(text) ?? [];
  if (word === 'cesql') {
    if (rest.trim() === '') throw bad(text, 'there is no expression');
    return { kind: 'trigger', broker: 'default', filters: [{ cesql: rest.trim() }] };
  }
  if (word !== undefined) {
    const type = Object.hasOwn(TYPES, word) ? (TYPES[word] ?? word) : word;
    if (!SOURCE_TYPES.includes(type))
      throw bad(text, `"${word}" is no source of events; there are ${WORDS.join(', ')}`);
    const config =
      type === 'timer' ? timer(text, rest) : named(type, configOf(partsOf(rest), '--on', EXAMPLE));
    return { kind: 'source', type, config: word === 'github' ? { provider: 'github', ...config } : config };
  }
  const parts = partsOf(text);
  if (parts.length === 0) throw bad(text, 'it is empty');
  const ofBroker = parts.find((part) => part.startsWith(BROKER));
  const filters = filtersFrom(
    text,
    parts.filter((part) => part !== ofBroker),
    '--on',
  );
  return { kind: 'trigger', broker: ofBroker?.slice(BROKER.length) ?? 'default', filters };
}

/** On what `--on` has made: the function's name. */
export const FUNCTION_LABEL = 'petrel.dev/function';

/** The objects for a function, named after it. The first of each type has a plain name, more of them are counted. */
export function objectsOf(
  wishes: readonly Wish[],
  fn: { name: string; namespace: string; uid: string },
): KubeObject[] {
  const counts = new Map<string, number>();
  return wishes.map((wish) => {
    const word = wish.kind === 'trigger' ? wish.broker : wish.type;
    const count = (counts.get(`${wish.kind} ${word}`) ?? 0) + 1;
    counts.set(`${wish.kind} ${word}`, count);
    const metadata = {
      name: `${fn.name}-${word}${count > 1 ? `-${count}` : ''}`,
      namespace: fn.namespace,
      labels: { [FUNCTION_LABEL]: fn.name },
      ownerReferences: [{ apiVersion: 'petrel.dev/v1', kind: 'Function', name: fn.name, uid: fn.uid }],
    };
    const to = {
      ref: { apiVersion: 'petrel.dev/v1', kind: 'Function', name: fn.name, namespace: fn.namespace },
    };
    return wish.kind === 'trigger'
      ? {
          apiVersion: 'eventing.knative.dev/v1',
          kind: 'Trigger',
          metadata,
          spec: {
            broker: wish.broker,
            ...(wish.filters.length > 0 ? { filters: wish.filters } : {}),
            subscriber: to,
          },
        }
      : {
          apiVersion: 'petrel.dev/v1',
          kind: 'EventSource',
          metadata,
          spec: { type: wish.type, config: wish.config, sink: to },
        };
  });
}
