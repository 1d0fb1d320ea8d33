/**
 * Petrel's figures on this machine, each against what it should reach, peers in the same run where they can be installed.
 *
 *   node bench/run.ts [--only startup,idle,…] [-o json]
 */
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { type Row, table } from './lib/report.ts';

/** Scenario name → the module that measures it, in running order. */
const SCENARIOS: Record<string, () => Promise<{ measure(): Promise<Row[]> }>> = {
  startup: () => import('./scenarios/startup.ts'),
  cold: () => import('./scenarios/cold.ts'),
  zygote: () => import('./scenarios/zygote.ts'),
  python: () => import('./scenarios/python.ts'),
  environment: () => import('./scenarios/environment.ts'),
  languages: () => import('./scenarios/languages.ts'),
  isolates: () => import('./scenarios/isolates.ts'),
  dev: () => import('./scenarios/dev.ts'),
  packages: () => import('./scenarios/packages.ts'),
  async: () => import('./scenarios/async.ts'),
  guarded: () => import('./scenarios/guarded.ts'),
  paths: () => import('./scenarios/paths.ts'),
  cloudevents: () => import('./scenarios/cloudevents.ts'),
  burst: () => import('./scenarios/burst.ts'),
  deploy: () => import('./scenarios/deploy.ts'),
  thousand: () => import('./scenarios/thousand.ts'),
  wake: () => import('./scenarios/wake.ts'),
  surge: () => import('./scenarios/surge.ts'),
  services: () => import('./scenarios/services.ts'),
  images: () => import('./scenarios/images.ts'),
  lossless: () => import('./scenarios/lossless.ts'),
  'in-place': () => import('./scenarios/in-place.ts'),
  'events-accept': () => import('./scenarios/events-accept.ts'),
  'events-paced': () => import('./scenarios/events-paced.ts'),
  'events-delivery': () => import('./scenarios/events-delivery.ts'),
  'events-wake': () => import('./scenarios/events-wake.ts'),
  'events-filters': () => import('./scenarios/events-filters.ts'),
  'events-store': () => import('./scenarios/events-store.ts'),
  'events-engine': () => import('./scenarios/events-engine.ts'),
  kafka: () => import('./scenarios/kafka.ts'),
  peers: () => import('./scenarios/peers.ts'),
};

const { values } = parseArgs({
  options: { only: { type: 'string' }, output: { type: 'string', short: 'o' } },
});
const chosen = values.only?.split(',') ?? Object.keys(SCENARIOS);
const unknown = chosen.filter((name) => !(name in SCENARIOS));
if (unknown.length > 0) {
  console.error(
    `error: no scenario ${unknown.join(', ')}\nfix:   choose from ${Object.keys(SCENARIOS).join(', ')}`,
  );
  process.exit(2);
}

const rows: Row[] = [];
for (const name of chosen) {
  process.stderr.write(`measuring ${name} …\n`);
  const scenario = await SCENARIOS[name]!();
  rows.push(...(await scenario.measure()));
}

const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`;
if (values.output === 'json')
  console.log(JSON.stringify({ date: new Date().toISOString(), machine, rows }, null, 2));
else console.log(`${new Date().toISOString().slice(0, 10)}, ${machine}\n\n${table(rows)}`);
