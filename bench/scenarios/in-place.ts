/** A new revision in the same Pod against a new Pod: from the decision until the instance takes requests. */
import { connect } from 'node:net';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createTestCluster } from '../../src/engine/node/testing.ts';
import { HOST_IMAGE } from '../../src/kinds/function.ts';
import type { Revision } from '../../src/kinds/serving.ts';
import { PODS, REVISIONS } from '../../src/kube/refs.ts';
import type { Instance } from '../../src/serving/contract.ts';
import { createPlainPods } from '../../src/serving/plain-pods.ts';
import { quantile, type Row } from '../lib/report.ts';

const ROUNDS = 15;
/** The least there can be to do again, and what services usually have: something to prepare, and connections to close. */
const SHAPES = [
  { what: 'nothing to prepare, gone at once', init: false, endMs: 0 },
  { what: 'an init container, 250 ms to end', init: true, endMs: 250 },
];
const program = (endMs: number) =>
  `const server = require('node:http').createServer((q, r) => r.end('ok')).listen(process.env.PORT);
process.on('SIGTERM', () => server.close(() => setTimeout(process.exit, ${endMs})));`;

export async function measure(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { what, init, endMs } of SHAPES) {
    const cluster = await createTestCluster({ sandbox: 'auto' });
    const { client } = cluster;
    const plain = createPlainPods({ client, log: silentLogger, clock: systemClock, random: Math.random });
    await plain.start();
    const { source } = plain;
    const image = HOST_IMAGE;
    const revision = (index: number) =>
      client.create<Revision>(REVISIONS, {
        apiVersion: 'serving.knative.dev/v1',
        kind: 'Revision',
        metadata: { name: `app-${index}`, namespace: 'default' },
        spec: {
          timeoutSeconds: 10,
          ...(init ? { initContainers: [{ name: 'prepare', image, command: ['true'] }] } : {}),
          containers: [
            {
              name: 'app',
              image,
              command: [process.execPath, '-e', program(endMs)],
              env: [{ name: 'VERSION', value: String(index) }],
            },
          ],
        },
      });
    try {
      const signal = AbortSignal.timeout(300_000);
      const inPlace: number[] = [];
      const recreate: number[] = [];
      let current = await revision(0);
      let instance: Instance = await source.acquire(current, signal);
      for (let round = 1; round <= 2 * ROUNDS; round++) {
        const next = await revision(round);
        const before = instance;
        const begun = performance.now();
        if (round % 2 === 1) {
          instance = await source.convert!(current, instance.id, next, signal);
        } else {
          await source.release(current, instance.id, 10_000);
          await gone(() => client.get(PODS, 'default', before.podName));
          instance = await source.acquire(next, signal);
        }
        await accepted(instance);
        (round % 2 === 1 ? inPlace : recreate).push(performance.now() - begun);
        current = next;
      }
      const [fast, slow] = [quantile(inPlace, 0.5), quantile(recreate, 0.5)];
      rows.push(
        { what: `new revision in the same Pod, ${what}, p50`, value: fast, unit: 'ms' },
        { what: 'the same by deleting the Pod and creating another, p50', value: slow, unit: 'ms' },
        {
          what: `time saved in place, ${what}`,
          value: (1 - fast / slow) * 100,
          unit: '%',
          reach: { at: 42, better: 'higher' },
        },
      );
    } finally {
      plain.stop();
      await cluster.close();
    }
  }
  return rows;
}

/** Polls, as nothing else tells it across a delete; short against what is measured. */
async function gone(get: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await get();
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** The instance really takes a connection. */
function accepted({ address }: Instance): Promise<void> {
  if (!('port' in address)) throw new Error('the instance has no port');
  return new Promise((resolve, reject) => {
    const socket = connect(address.port, address.host, () => {
      socket.destroy();
      resolve();
    });
    socket.on('error', reject);
  });
}
