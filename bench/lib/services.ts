/** Knative Services for benchmarks: programs of their own, without a pool. */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Service } from '../../src/kinds/serving.ts';
import { KSERVICES, PODS } from '../../src/kube/refs.ts';
import type { BenchPlatform } from './platform.ts';

/** A server on $PORT that answers each request after `sleepMs`. */
export const program = (sleepMs = 0, text = 'hello'): string[] => [
  process.execPath,
  '-e',
  `require('node:http').createServer((q, r) => ${
    sleepMs > 0 ? `setTimeout(() => r.end('${text}'), ${sleepMs})` : `r.end('${text}')`
  }).listen(Number(process.env.PORT), '0.0.0.0')`,
];

const GO_SOURCE = `package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	http.ListenAndServe(":"+os.Getenv("PORT"), nil)
}
`;

/** The same in Go, the language of upstream's own test programs; undefined where no Go compiler is. */
export async function goProgram(): Promise<string[] | undefined> {
  const out = path.resolve(import.meta.dirname, '../out/hello-go');
  const binary = path.join(out, 'hello');
  await mkdir(out, { recursive: true });
  await writeFile(path.join(out, 'main.go'), GO_SOURCE);
  const built = promisify(execFile)('go', ['build', '-o', binary, path.join(out, 'main.go')], {
    env: { ...process.env, CGO_ENABLED: '0' },
  });
  return built.then(
    () => [binary],
    () => undefined,
  );
}

export function serviceObject(
  name: string,
  command: string[],
  annotations: Record<string, string> = {},
): Service {
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      template: {
        metadata: { annotations: { 'autoscaling.knative.dev/window': '6s', ...annotations } },
        spec: { containers: [{ name: 'user-container', image: 'petrel.dev/host', command }] },
      },
    },
  };
}

/** Ready, with nothing left to be done about the latest change. */
export const isReady = (one: Service): boolean =>
  one.status?.observedGeneration === one.metadata.generation &&
  Boolean(one.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'));

/** Resolves with the moment (`performance.now()`) at which each Service was seen Ready. */
export async function whenReady(
  platform: BenchPlatform,
  names: string[],
  timeoutMs = 120_000,
): Promise<Map<string, number>> {
  const seen = new Map<string, number>();
  const wanted = new Set(names);
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  const look = (one: Service) => {
    const { name } = one.metadata;
    if (wanted.has(name) && !seen.has(name) && isReady(one)) seen.set(name, performance.now());
  };
  try {
    const { items, resourceVersion } = await platform.client.list<Service>(KSERVICES, {
      namespace: 'default',
    });
    items.forEach(look);
    if (seen.size === wanted.size) return seen;
    const watch = platform.client.watch<Service>(KSERVICES, {
      namespace: 'default',
      resourceVersion,
      signal: abort.signal,
    });
    for await (const event of watch) {
      if (event.type === 'ADDED' || event.type === 'MODIFIED') look(event.object);
      if (seen.size === wanted.size) return seen;
    }
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
  throw new Error(`${wanted.size - seen.size} Services were not Ready within ${timeoutMs / 1000} s`);
}

/** Waits until no Service has an instance. */
export async function atZero(platform: BenchPlatform): Promise<void> {
  const deadline = performance.now() + 180_000;
  for (;;) {
    const { items } = await platform.client.list(PODS, {
      labelSelector: 'serving.knative.dev/revision',
    });
    if (items.length === 0) return;
    if (performance.now() > deadline) throw new Error(`${items.length} instances are left after 180 s`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
