/** Columns that several kinds print, and helpers to write column sets as data. */
import { since } from '../human.ts';
import type { UntypedObject } from '../object.ts';
import type { PrinterColumn } from '../resource.ts';

type Value = NonNullable<PrinterColumn['value']>;

/** A column computed by code; `wide` ones appear with `-o wide`. */
export function column(name: string, type: PrinterColumn['type'], value: Value, wide = false): PrinterColumn {
  return { name, type, priority: wide ? 1 : 0, value };
}

/** A column of a custom resource: a JSONPath, as its definition would give it. */
export function pathColumn(
  name: string,
  jsonPath: string,
  type: PrinterColumn['type'] = 'string',
): PrinterColumn {
  return { name, type, priority: 0, jsonPath };
}

export const NAME: PrinterColumn = {
  name: 'Name',
  type: 'string',
  format: 'name',
  priority: 0,
  value: (o) => o.metadata.name,
};
export const AGE: PrinterColumn = column('Age', 'string', (o, now) =>
  since(o.metadata.creationTimestamp, now),
);
/** Age as custom resources print it. */
export const AGE_PATH: PrinterColumn = pathColumn('Age', '.metadata.creationTimestamp', 'date');
/** `Ready` and its reason, from conditions. */
export const READY_PATHS: PrinterColumn[] = [
  pathColumn('Ready', ".status.conditions[?(@.type=='Ready')].status"),
  pathColumn('Reason', ".status.conditions[?(@.type=='Ready')].reason"),
];

/** `<none>` for what is empty. */
export const orNone = (text: string | undefined | null): string =>
  text === undefined || text === null || text === '' ? '<none>' : text;

/** A LabelSelector object as `kubectl get -o wide` shows it. */
export function selectorText(selector: UntypedObject['spec']): string {
  const operators: Record<string, (key: string, values: string) => string> = {
    In: (k, v) => `${k} in (${v})`,
    NotIn: (k, v) => `${k} notin (${v})`,
    Exists: (k) => k,
    DoesNotExist: (k) => `!${k}`,
  };
  const parts = Object.entries(selector?.matchLabels ?? {}).map(([k, v]) => `${k}=${v}`);
  for (const { key, operator, values } of selector?.matchExpressions ?? []) {
    parts.push(operators[operator]?.(key, [...(values ?? [])].sort().join(',')) ?? '');
  }
  return orNone(parts.sort().join(','));
}

/** Names and images of a pod template's containers. */
export const templateColumns: PrinterColumn[] = [
  column('Containers', 'string', (o) => containerList(o, 'name'), true),
  column('Images', 'string', (o) => containerList(o, 'image'), true),
];

function containerList(object: UntypedObject, field: 'name' | 'image'): string {
  const containers: Record<string, string>[] = object.spec?.template?.spec?.containers ?? [];
  return containers.map((c) => c[field] ?? '').join(',');
}
