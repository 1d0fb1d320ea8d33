/** What `kubectl get jobs` prints. Source: kubernetes `pkg/printers/internalversion` (`printJob`), 1.32. */
import { humanDuration } from '../human.ts';
import type { UntypedObject } from '../object.ts';
import type { PrinterColumn } from '../resource.ts';
import { AGE, column, NAME, selectorText, templateColumns } from './common.ts';

/** Condition → word, in the order in which they are looked for. A Job that is being deleted comes after the first two. */
const WORDS: readonly (readonly [condition: string, word: string])[] = [
  ['Complete', 'Complete'],
  ['Failed', 'Failed'],
  ['', 'Terminating'],
  ['Suspended', 'Suspended'],
  ['FailureTarget', 'FailureTarget'],
];

function jobStatus({ metadata, status }: UntypedObject): string {
  const holds = (type: string) =>
    (status?.conditions ?? []).some(
      (condition: { type: string; status: string }) => condition.type === type && condition.status === 'True',
    );
  const found = WORDS.find(([type]) =>
    type === '' ? metadata.deletionTimestamp !== undefined : holds(type),
  );
  return found?.[1] ?? 'Running';
}

function completions({ spec, status }: UntypedObject): string {
  const succeeded = status?.succeeded ?? 0;
  if (spec?.completions !== undefined && spec.completions !== null) return `${succeeded}/${spec.completions}`;
  const parallelism = spec?.parallelism ?? 0;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function duration({ status }: UntypedObject, now: number): string {
  if (!status?.startTime) return '';
  const end = status.completionTime ? Date.parse(status.completionTime) : now;
  return humanDuration(end - Date.parse(status.startTime));
}

export const JOB_COLUMNS: PrinterColumn[] = [
  NAME,
  column('Status', 'string', jobStatus),
  column('Completions', 'string', completions),
  column('Duration', 'string', duration),
  AGE,
  ...templateColumns,
  column('Selector', 'string', (o) => selectorText(o.spec?.selector), true),
];
