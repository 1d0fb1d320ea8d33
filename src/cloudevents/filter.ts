/**
 * Knative's filters as functions of an event: `spec.filters` in its seven dialects and the legacy `spec.filter.attributes`.
 * Source: knative.dev/eventing `pkg/eventfilter`; CloudEvents Subscriptions API, 3.2.4 (Filters).
 */
import { type AttributeReader, attributeReader } from './attribute-reader.ts';
import { compile } from './cesql/compile.ts';
import { beginsWith } from './cesql/like.ts';
import type { CloudEvent } from './event.ts';

/** Whether an event passes. Never throws, changes nothing. */
export type Filter = (event: CloudEvent) => boolean;

/** One filter as objects have it (`SubscriptionsAPIFilter`): one of the dialects; several entries of a map must all hold. */
export interface FilterSpec {
  exact?: Record<string, string>;
  prefix?: Record<string, string>;
  suffix?: Record<string, string>;
  all?: FilterSpec[];
  any?: FilterSpec[];
  not?: FilterSpec;
  cesql?: string;
}

/** What a Trigger wants: all of `filters`, or where there are none the legacy attributes; without either, everything. */
export interface Wanted {
  filters?: readonly FilterSpec[];
  /** Of the value `''`: any value, but there must be one. */
  attributes?: Readonly<Record<string, string>>;
}

/** One attribute and its values: an event that has none of them does not pass. */
export interface Anchor {
  attribute: string;
  values: readonly string[];
}

/** A filter that can be asked, and what may be known of the answer beforehand. */
export interface CompiledFilter {
  matches: Filter;
  /** Undefined: any event may pass. */
  anchor?: Anchor;
  /** The anchor is all there is to it. */
  anchorDecides: boolean;
}

/** Nothing is filtered. Also what a filter is that says nothing: upstream skips such. */
type Nothing = undefined;

const EVERYTHING: CompiledFilter = { matches: () => true, anchorDecides: false };

/**
 * Compiles what a Trigger wants.
 * @throws CesqlParseError for an expression that is none: `filterProblems` says so before the object is stored.
 */
export function compileFilters({ filters = [], attributes = {} }: Wanted): CompiledFilter {
  return (filters.length > 0 ? all(filters) : legacy(attributes)) ?? EVERYTHING;
}

function compileFilter(filter: FilterSpec): CompiledFilter | Nothing {
  if (has(filter.exact)) return mapped(filter.exact, exactly);
  if (has(filter.prefix)) return mapped(filter.prefix, beginning);
  if (has(filter.suffix)) return mapped(filter.suffix, ending);
  if (filter.all !== undefined && filter.all.length > 0) return all(filter.all);
  if (filter.any !== undefined && filter.any.length > 0) return any(filter.any);
  if (filter.not !== undefined && filter.not !== null) return not(filter.not);
  return filter.cesql ? cesql(filter.cesql) : undefined;
}

const has = (map: Record<string, string> | undefined): map is Record<string, string> =>
  map !== undefined && map !== null && Object.keys(map).length > 0;

/** Names that upstream knows beside those of CloudEvents. */
const ALIASES: Readonly<Record<string, AttributeReader>> = {
  schemaurl: (event) => event.dataschema,
  datamediatype: (event) => event.datacontenttype?.split(';', 1)[0]?.trim(),
};

const readerOf = (name: string): AttributeReader =>
  (Object.hasOwn(ALIASES, name) ? ALIASES[name] : undefined) ?? attributeReader(name);

type Dialect = (read: AttributeReader, name: string, value: string) => CompiledFilter;

const exactly: Dialect = (read, name, value) => ({
  matches: (event) => {
    const found = read(event);
    return found === value || (typeof found !== 'string' && found !== undefined && String(found) === value);
  },
  ...(Object.hasOwn(ALIASES, name)
    ? { anchorDecides: false }
    : { anchor: { attribute: name, values: [value] }, anchorDecides: true }),
});

const beginning: Dialect = (read, _, value) => {
  const begins = beginsWith(value);
  return {
    matches: (event) => {
      const found = read(event);
      return found !== undefined && begins(typeof found === 'string' ? found : String(found));
    },
    anchorDecides: false,
  };
};

const ending: Dialect = (read, _, value) => ({
  matches: (event) => {
    const found = read(event);
    return found !== undefined && (typeof found === 'string' ? found : String(found)).endsWith(value);
  },
  anchorDecides: false,
});

const existing: Dialect = (read) => ({
  matches: (event) => {
    const found = read(event);
    return found !== undefined && found !== '';
  },
  anchorDecides: false,
});

/** As upstream, a map with an empty name or value says nothing as a whole. */
function mapped(map: Record<string, string>, dialect: Dialect): CompiledFilter | Nothing {
  const entries = Object.entries(map);
  if (entries.some(([name, value]) => name === '' || value === '')) return undefined;
  return every(entries.map(([name, value]) => dialect(readerOf(name), name, value)));
}

function legacy(attributes: Readonly<Record<string, string>>): CompiledFilter | Nothing {
  return every(
    Object.entries(attributes).map(([name, value]) =>
      (value === '' ? existing : exactly)(readerOf(name), name, value),
    ),
  );
}

const compiledOnes = (filters: readonly FilterSpec[]): CompiledFilter[] =>
  filters.map(compileFilter).filter((filter) => filter !== undefined);

const all = (filters: readonly FilterSpec[]): CompiledFilter | Nothing => every(compiledOnes(filters));

function every(parts: CompiledFilter[]): CompiledFilter | Nothing {
  if (parts.length < 2) return parts[0];
  const anchored = parts.filter((part) => part.anchor !== undefined);
  const best = anchored.reduce<CompiledFilter | undefined>(
    (chosen, part) => (chosen === undefined || rank(part.anchor!) < rank(chosen.anchor!) ? part : chosen),
    undefined,
  );
  const tests = parts.map(({ matches }) => matches);
  const [first, second] = tests as [Filter, Filter];
  const matches: Filter =
    tests.length === 2
      ? (event) => first(event) && second(event)
      : (event) => {
          for (const test of tests) if (!test(event)) return false;
          return true;
        };
  return { matches, anchor: best?.anchor, anchorDecides: false };
}

/** What sorts out most: the type, then the source, then whatever there is. */
function rank({ attribute, values }: Anchor): number {
  const kind = attribute === 'type' ? 0 : attribute === 'source' ? 1 : 2;
  return kind * 1e6 + values.length;
}

function any(filters: readonly FilterSpec[]): CompiledFilter | Nothing {
  const parts = compiledOnes(filters);
  if (parts.length < 2) return parts[0];
  const tests = parts.map(({ matches }) => matches);
  const attribute = parts[0]?.anchor?.attribute;
  const shared = parts.every(({ anchor }) => anchor !== undefined && anchor.attribute === attribute);
  const values = shared ? [...new Set(parts.flatMap(({ anchor }) => anchor?.values ?? []))] : [];
  return {
    matches: (event) => {
      for (const test of tests) if (test(event)) return true;
      return false;
    },
    anchor: shared && attribute !== undefined ? { attribute, values } : undefined,
    anchorDecides: shared && parts.every(({ anchorDecides }) => anchorDecides),
  };
}

function not(filter: FilterSpec): CompiledFilter | Nothing {
  const inner = compileFilter(filter)?.matches;
  return inner && { matches: (event) => !inner(event), anchorDecides: false };
}

function cesql(expression: string): CompiledFilter {
  const { matches, required } = compile(expression);
  const anchors = [...required].map(([attribute, value]) => ({ attribute, values: [value] }));
  const [anchor] = anchors.toSorted((a, b) => rank(a) - rank(b));
  return { matches, anchor, anchorDecides: false };
}
