/** Figures, their reach and how they are printed. */

export interface Row {
  /** What was measured, as the table shows it. */
  what: string;
  value: number;
  unit: string;
  /** What the figure should reach, in the same unit; absent when there is none. */
  reach?: { at: number; better: 'lower' | 'higher' };
  /** Spread or setting, for the reader. */
  note?: string;
}

/** The value below which `share` (0–1) of the sorted values lie. */
export function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN;
}

export const median = (values: number[]): number => quantile(values, 0.5);

/** Whether a row reaches its aim; undefined where there is none. */
export function reached(row: Row): boolean | undefined {
  if (!row.reach) return undefined;
  return row.reach.better === 'lower' ? row.value <= row.reach.at : row.value >= row.reach.at;
}

const figure = (value: number) =>
  value >= 1000
    ? Math.round(value).toLocaleString('en')
    : value >= 100
      ? value.toFixed(0)
      : value.toFixed(value < 1 ? 3 : 1);

/** A Markdown table, widths aligned. */
export function table(rows: Row[]): string {
  const cells = [
    ['what', 'measured', 'reach', '', 'note'],
    ...rows.map((row) => {
      const ok = reached(row);
      return [
        row.what,
        `${figure(row.value)} ${row.unit}`,
        row.reach ? `${row.reach.better === 'lower' ? '≤' : '≥'} ${figure(row.reach.at)} ${row.unit}` : '',
        ok === undefined ? '' : ok ? 'yes' : 'NO',
        row.note ?? '',
      ];
    }),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)));
  const line = (parts: string[]) =>
    `| ${parts.map((part, index) => part.padEnd(widths[index]!)).join(' | ')} |`;
  return [
    line(cells[0]!),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...cells.slice(1).map(line),
  ].join('\n');
}
