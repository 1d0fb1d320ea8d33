/** Counts as OpenMetrics text, for whoever collects such figures. Source: https://github.com/prometheus/OpenMetrics, specification 1.0. */

export const OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

export type Labels = Record<string, string>;

/** `suffix` after the family's name, for families whose samples are several: `_bucket`, `_sum`, `_count` of a histogram. */
export type Sample = [labels: Labels, value: number, suffix?: string];

export interface Family {
  name: string;
  /** Samples of a counter are called `<name>_total`. */
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  samples: Sample[];
}

/** Families without samples are left out. */
export const metricsText = (families: readonly Family[]): string =>
  `${families.map(familyText).join('')}# EOF\n`;

function familyText({ name, type, help, samples }: Family): string {
  if (samples.length === 0) return '';
  const ending = type === 'counter' ? '_total' : '';
  const lines = samples.map(([labels, value, suffix = ending]) => {
    const inner = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
    return `${name}${suffix}{${inner.join(',')}} ${value}\n`;
  });
  return `# TYPE ${name} ${type}\n# HELP ${name} ${help}\n${lines.join('')}`;
}

const escaped = (text: string): string =>
  text.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`));
