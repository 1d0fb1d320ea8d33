/**
 * Compares policies of scaling to zero on synthetic traces: `node bench/simulate/run.ts [--services 10000] [--days 2] [--seed 1]
 * [--warm-up 1] [--only kpa,hybrid] [-o json]`. The first `--warm-up` days only fill the histograms; they are not counted.
 */
import { parseArgs } from 'node:util';
import { scalingSpec } from '../../src/serving/autoscaler/config.ts';
import { createIdleHistory, fixedKeepAlive, HYBRID_DEFAULTS } from '../../src/serving/autoscaler/hybrid.ts';
import { type Policy, simulate } from './service.ts';
import { Totals } from './totals.ts';
import { DAY_MS, type Shape, serviceTrace } from './traces.ts';

const MINUTE_MS = 60_000;
const spec = scalingSpec({}, 0);

export const POLICIES: Record<string, Policy> = {
  kpa: { name: 'KPA, defaults', spec },
  'fixed-2': { name: 'fixed keep-alive 2 min (Fission)', spec, idle: () => fixedKeepAlive(2 * MINUTE_MS) },
  'fixed-10': { name: 'fixed keep-alive 10 min', spec, idle: () => fixedKeepAlive(10 * MINUTE_MS) },
  hybrid: { name: 'hybrid histogram', spec, idle: () => createIdleHistory(HYBRID_DEFAULTS) },
};

export interface RunOptions {
  services: number;
  days: number;
  warmUp: number;
  seed: number;
  only: string[];
  /** Of that many services by popularity only one is simulated; default 1. */
  every?: number;
}

/** Totals by policy, and for each by shape of the traffic. */
export type Results = Map<string, { all: Totals; shapes: Map<Shape, Totals> }>;

export function run({ services, days, warmUp, seed, only, every = 1 }: RunOptions): Results {
  const results: Results = new Map(only.map((key) => [key, { all: new Totals(), shapes: new Map() }]));
  for (let rank = every; rank <= services; rank += every) {
    const trace = serviceTrace({ services, days, seed }, rank);
    for (const key of only) {
      const { all, shapes } = results.get(key)!;
      const one = new Totals();
      simulate(trace, POLICIES[key]!, warmUp * DAY_MS, days * DAY_MS, one);
      all.add(one);
      const shape = shapes.get(trace.shape) ?? new Totals();
      shape.add(one);
      shapes.set(trace.shape, shape);
    }
  }
  return results;
}

const HEAD = [
  'policy',
  'requests',
  'cold',
  'cold %',
  'delay p50',
  'p95',
  'p99',
  'instance-hours',
  'starts',
  'pre-warmed',
];

function row(name: string, totals: Totals): string[] {
  const ms = (value: number) => `${Math.round(value)} ms`;
  return [
    name,
    totals.requests.toLocaleString('en'),
    totals.cold.toLocaleString('en'),
    `${((100 * totals.cold) / totals.requests).toFixed(2)} %`,
    ms(totals.delay(0.5)),
    ms(totals.delay(0.95)),
    ms(totals.delay(0.99)),
    Math.round(totals.instanceMs / 3_600_000).toLocaleString('en'),
    totals.starts.toLocaleString('en'),
    totals.prewarmed.toLocaleString('en'),
  ];
}

function main(): void {
  const { values } = parseArgs({
    options: {
      services: { type: 'string', default: '10000' },
      days: { type: 'string', default: '2' },
      'warm-up': { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string', default: Object.keys(POLICIES).join(',') },
      output: { type: 'string', short: 'o', default: 'table' },
    },
  });
  const only = values.only.split(',').filter((key) => POLICIES[key]);
  const options = {
    services: Number(values.services),
    days: Number(values.days),
    warmUp: Number(values['warm-up']),
    seed: Number(values.seed),
    only,
  };
  const begun = performance.now();
  const results = run(options);
  const seconds = (performance.now() - begun) / 1000;
  const rows = only.flatMap((key) => {
    const { all, shapes } = results.get(key)!;
    const name = POLICIES[key]!.name;
    return [row(name, all), ...[...shapes].sort().map(([shape, totals]) => row(`– ${shape}`, totals))];
  });
  if (values.output === 'json') {
    console.log(
      JSON.stringify({
        options,
        seconds,
        rows: rows.map((cells) => Object.fromEntries(HEAD.map((head, at) => [head, cells[at]]))),
      }),
    );
    return;
  }
  for (const cells of [HEAD, HEAD.map(() => '---'), ...rows]) console.log(`| ${cells.join(' | ')} |`);
  console.log(
    `\n${options.services} services, ${options.days} days of which ${options.warmUp} to warm up, seed ${options.seed}: ${seconds.toFixed(1)} s`,
  );
}

if (import.meta.main) main();
