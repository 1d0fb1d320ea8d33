/** What it costs to ask who calls: the same function without and with an API key, a token, a signed body; in turns, medians. */
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FunctionAccess } from '../../src/kinds/function.ts';
import { SECRETS } from '../../src/kube/refs.ts';
import { createFunctions, functionObject, hostOf, uploadSource } from '../lib/functions.ts';
import { load, type Requests } from '../lib/load.ts';
import { type BenchPlatform, startPlatform } from '../lib/platform.ts';
import { median, type Row } from '../lib/report.ts';

const ROUNDS = 3;
const LOAD = { connections: 32, seconds: 2 };
const BODY = 'b'.repeat(1024);
/** More than the gateway remembers: each is checked anew. */
const TOKENS = 1500;

const base64 = (text: string) => Buffer.from(text).toString('base64');
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const EXPIRES = Math.floor(Date.now() / 1000) + 3600;

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
function token(subject: string): string {
  const signed = `${part({ alg: 'ES256', kid: 'bench' })}.${part({ sub: subject, exp: EXPIRES })}`;
  const key = { key: ec.privateKey, dsaEncoding: 'ieee-p1363' } as const;
  return `Bearer ${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
}

const SECRETS_DATA: Record<string, Record<string, string>> = {
  keys: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`client-${i}`, `key-${i}`])),
  hook: { secret: 'hush' },
  tokens: { jwks: JSON.stringify({ keys: [{ ...ec.publicKey.export({ format: 'jwk' }), kid: 'bench' }] }) },
};

interface Case {
  name: string;
  access?: FunctionAccess;
  requests: Omit<Requests, 'host'>;
  /** What it is compared with. */
  beside: 'open' | 'open-post';
  what?: string;
}
const signature = createHmac('sha256', 'hush').update(BODY).digest('hex');
const CASES: Case[] = [
  { name: 'open', requests: {}, beside: 'open' },
  { name: 'open-post', requests: { body: BODY }, beside: 'open-post' },
  {
    name: 'keyed',
    access: { auth: { apiKey: { secret: 'keys' } } },
    requests: { headers: { 'x-api-key': 'key-77' } },
    beside: 'open',
    what: 'an API key, one of 100',
  },
  {
    name: 'tokened',
    access: { auth: { jwt: { secret: 'tokens' } } },
    requests: { headers: { authorization: token('ann') } },
    beside: 'open',
    what: 'a token (ES256), the same again',
  },
  {
    name: 'tokens',
    access: { auth: { jwt: { secret: 'tokens' } } },
    requests: {
      turns: { header: 'authorization', values: Array.from({ length: TOKENS }, (_, i) => token(`u${i}`)) },
    },
    beside: 'open',
    what: 'a token (ES256), a new one each time',
  },
  {
    name: 'signed',
    access: { auth: { hmac: { secret: 'hook' } } },
    requests: { body: BODY, headers: { 'x-hub-signature-256': `sha256=${signature}` } },
    beside: 'open-post',
    what: 'a signed body of 1 KB, beside the same body unsigned',
  },
];

async function prepare(platform: BenchPlatform): Promise<void> {
  for (const [name, data] of Object.entries(SECRETS_DATA))
    await platform.client.create(SECRETS, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: 'default' },
      data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])),
    });
  const source = `export default { fetch: () => new Response('hello') };\n`;
  const digest = await uploadSource(platform, 'hello.ts', source);
  const functions = CASES.map(({ name, access }) => {
    const fn = functionObject(name, digest, 'hello.ts');
    fn.metadata.annotations = { ...fn.metadata.annotations, 'autoscaling.knative.dev/max-scale': '1' };
    return { ...fn, spec: { ...fn.spec, ...(access && { access }) } };
  });
  await createFunctions(platform, functions);
  await sleep(1000);
}

export async function measure(): Promise<Row[]> {
  const platform = await startPlatform();
  try {
    await prepare(platform);
    const rates = new Map<string, number[]>(CASES.map(({ name }) => [name, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const { name, requests } of CASES) {
        const { requestsPerSecond, errors } = await load(platform, { host: hostOf(name), ...requests }, LOAD);
        if (errors > 0) throw new Error(`${name}: ${errors} requests were refused or failed`);
        rates.get(name)?.push(requestsPerSecond);
      }
    }
    const rate = (name: string) => median(rates.get(name) ?? []);
    return CASES.flatMap(({ name, beside, what }) =>
      what === undefined
        ? []
        : {
            what: `requests a second with ${what}, × without`,
            value: rate(name) / rate(beside),
            unit: '×',
            note: `${Math.round(rate(name))} and ${Math.round(rate(beside))}`,
          },
    );
  } finally {
    await platform.stop();
  }
}
