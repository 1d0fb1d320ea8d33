/** Brokers, triggers and producers for benchmarks. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FilterSpec } from '../../src/cloudevents/filter.ts';
import type { EventingObject } from '../../src/kinds/eventing/objects.ts';
import type { Json } from '../../src/kinds/object.ts';
import type { ResourceRef } from '../../src/kube/client.ts';
import { BROKERS, TRIGGERS } from '../../src/kube/refs.ts';
import { type BenchPlatform, wrk } from './platform.ts';

export const BROKER_PATH = '/events/broker/default/bench';
const DATA = 'e'.repeat(1024);

const object = (kind: string, name: string, spec: Record<string, Json>) => ({
  apiVersion: 'eventing.knative.dev/v1',
  kind,
  metadata: { namespace: 'default', name },
  spec,
});

/** Resolves when all of a kind are Ready. */
async function ready(platform: BenchPlatform, resource: ResourceRef): Promise<void> {
  for (const deadline = performance.now() + 120_000; ; await sleep(50)) {
    const { items } = await platform.client.list<EventingObject>(resource, { namespace: 'default' });
    const waiting = items.filter(
      ({ status }) => !status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'),
    );
    if (waiting.length === 0) return;
    if (performance.now() > deadline)
      throw new Error(`${waiting.length} ${resource.plural} are not ready: ${JSON.stringify(waiting[0])}`);
  }
}

export async function createBroker(platform: BenchPlatform): Promise<void> {
  await platform.client.create(BROKERS, object('Broker', 'bench', {}));
  await ready(platform, BROKERS);
}

/** Triggers of the broker to a function (by name) or a URI; each with its filters. */
export async function createTriggers(
  platform: BenchPlatform,
  to: string | { uri: string },
  triggers: Record<string, FilterSpec[]>,
): Promise<void> {
  const subscriber =
    typeof to === 'string'
      ? { ref: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: to } }
      : to;
  for (const [name, filters] of Object.entries(triggers)) {
    const spec = { broker: 'bench', filters: filters as Json, subscriber };
    await platform.client.create(TRIGGERS, object('Trigger', name, spec));
  }
  await ready(platform, TRIGGERS);
}

/** wrk with one producer for each connection, each event new; `type` and `data` as Lua expressions of `n`, the event's number. */
export async function produce(
  platform: BenchPlatform,
  options: { connections: number; seconds: number; type?: string; bytes?: number },
): ReturnType<typeof wrk> {
  const directory = await mkdtemp(path.join(tmpdir(), 'petrel-bench-events-'));
  const script = path.join(directory, 'post.lua');
  const run = Math.random().toString(36).slice(2);
  await writeFile(
    script,
    `local n = 0
local body = string.rep("e", ${options.bytes ?? DATA.length})
function request()
  n = n + 1
  return wrk.format("POST", "${BROKER_PATH}", {
    ["Host"] = "bench", ["Content-Type"] = "application/json", ["ce-specversion"] = "1.0",
    ["ce-id"] = "${run}-" .. n, ["ce-source"] = "/bench", ["ce-type"] = ${options.type ?? '"com.shop.order.created"'},
  }, body)
end
`,
  );
  try {
    return await wrk(`http://${platform.gateway.host}:${platform.gateway.port}/`, { ...options, script });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Sends one event; resolves with when it was sent and when it was accepted, milliseconds of the machine's monotonic clock. */
export function sendEvent(
  platform: BenchPlatform,
  agent: http.Agent,
  id: string,
): Promise<{ sent: number; accepted: number }> {
  const sent = monotonic();
  return new Promise((resolve, reject) => {
    const headers = {
      'ce-specversion': '1.0',
      'ce-id': id,
      'ce-source': '/bench',
      'ce-type': 'com.shop.order.created',
      'content-type': 'application/json',
      'content-length': DATA.length,
    };
    const { host, port } = platform.gateway;
    const call = http.request(
      { host, port, agent, method: 'POST', path: BROKER_PATH, headers },
      (response) => {
        response.resume();
        response.on('end', () =>
          response.statusCode === 202
            ? resolve({ sent, accepted: monotonic() })
            : reject(new Error(`answered ${response.statusCode}, not 202`)),
        );
      },
    );
    call.on('error', reject);
    call.end(DATA);
  });
}

/** Milliseconds of a clock that all processes of the machine share. */
export const monotonic = (): number => Number(process.hrtime.bigint()) / 1e6;
