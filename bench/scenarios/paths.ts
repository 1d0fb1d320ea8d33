/** Routes by path: what finding one among a thousand costs, beside one alone and beside a host. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeObject } from '../../src/kinds/object.ts';
import { hostOf } from '../lib/functions.ts';
import { load } from '../lib/load.ts';
import { type BenchPlatform, request, startPlatform } from '../lib/platform.ts';
import { median, type Row } from '../lib/report.ts';

const ROUTES = 1000;
const ROUNDS = 3;
const LOAD = { connections: 32, seconds: 2 };
const fission = (kind: string) => ({
  group: 'fission.io',
  version: 'v1',
  plural: `${kind.toLowerCase()}s`,
  kind,
  namespaced: true,
});
const object = (kind: string, name: string, spec: object): KubeObject & { spec: object } => ({
  apiVersion: 'fission.io/v1',
  kind,
  metadata: { name, namespace: 'default' },
  spec,
});
const create = (platform: BenchPlatform, kind: string, name: string, spec: object) =>
  platform.client.create(fission(kind), object(kind, name, spec));
/** Half of them with a variable, as paths of an interface have it. */
const routePath = (i: number) => `/api/v1/part-${i % 50}/things-${i}${i % 2 === 0 ? '' : '/{id}'}`;
const requestPath = (i: number) => routePath(i).replace('{id}', '42');

const trigger = (platform: BenchPlatform, i: number) =>
  create(platform, 'HTTPTrigger', `path-${i}`, {
    relativeurl: routePath(i),
    methods: ['GET'],
    functionref: { type: 'name', name: 'hello' },
  });

async function fissionFunction(platform: BenchPlatform): Promise<void> {
  const source = "module.exports = async () => ({ status: 200, body: 'hello' });\n";
  await create(platform, 'Environment', 'nodejs', { version: 2, runtime: { image: 'fission/node-env' } });
  await create(platform, 'Package', 'hello', {
    environment: { name: 'nodejs', namespace: 'default' },
    deployment: { type: 'literal', literal: Buffer.from(source).toString('base64') },
  });
  await create(platform, 'Function', 'hello', {
    environment: { name: 'nodejs', namespace: 'default' },
    package: { packageref: { name: 'hello', namespace: 'default' } },
    // As many at once as there are connections: with one, which is Fission's default, each waits for the one before.
    requestsPerPod: 1000,
    InvokeStrategy: {
      StrategyType: 'execution',
      ExecutionStrategy: { ExecutorType: 'poolmgr', MinScale: 0, MaxScale: 1 },
    },
  });
}

async function answers(platform: BenchPlatform, host: string, path: string): Promise<void> {
  for (const from = performance.now(); ; await sleep(10)) {
    const { status } = await request(platform.gateway, host, path);
    if (status === 200) return;
    if (performance.now() - from > 60_000) throw new Error(`${host}${path} answers ${status}`);
  }
}

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    await fissionFunction(platform);
    const rate = async (host: string, path: string): Promise<number> => {
      const { requestsPerSecond, errors } = await load(platform, { host, path }, LOAD);
      if (errors > 0) throw new Error(`${host}${path}: ${errors} requests failed`);
      return requestsPerSecond;
    };
    const last = ROUTES - 1;
    const rates = {
      none: [] as number[],
      one: [] as number[],
      thousand: [] as number[],
      host: [] as number[],
    };
    await answers(platform, hostOf('hello'), '/');
    for (let round = 0; round < ROUNDS; round++) await rate(hostOf('hello'), '/');
    for (let round = 0; round < ROUNDS; round++) rates.none.push(await rate(hostOf('hello'), '/'));
    await trigger(platform, last);
    await answers(platform, 'api.test', requestPath(last));
    for (let round = 0; round < ROUNDS; round++) rates.one.push(await rate('api.test', requestPath(last)));
    const from = performance.now();
    for (let i = 0; i < last; i++) await trigger(platform, i);
    await answers(platform, 'api.test', requestPath(last - 1));
    const seconds = (performance.now() - from) / 1000;
    await sleep(2000);
    for (let round = 0; round < ROUNDS; round++) {
      rates.thousand.push(await rate('api.test', requestPath(last)));
      rates.host.push(await rate(hostOf('hello'), '/'));
    }
    const [none, one, thousand, host] = [rates.none, rates.one, rates.thousand, rates.host].map(median) as [
      number,
      number,
      number,
      number,
    ];
    return [
      {
        what: `requests a second by one of ${ROUTES} paths, × by the only path`,
        value: thousand / one,
        unit: '×',
        note: `${Math.round(thousand)} and ${Math.round(one)}; ${ROUTES} made in ${seconds.toFixed(1)} s`,
      },
      {
        what: `requests a second by host beside ${ROUTES} paths, × without any`,
        value: host / none,
        unit: '×',
        note: `${Math.round(host)} and ${Math.round(none)}`,
      },
    ];
  } finally {
    await platform.stop();
  }
}
