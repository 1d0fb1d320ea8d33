/** Eventing begins with the first object of its kinds; until then there is neither thread nor file nor module of it. */
import type { IncomingMessage } from 'node:http';
import { systemClock } from '../base/clock.ts';
import { PetrelError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Store } from '../engine/store/contract.ts';
import type { Eventing } from '../eventing/index.ts';
import type { Keda } from '../eventing/keda/index.ts';
import type { Questions } from '../eventing/model.ts';
import { type SocketRoute, sendJson } from '../functions/packages/server.ts';
import type { Gateway } from '../gateway/contract.ts';
import type { KubeClient } from '../kube/client.ts';
import * as refs from '../kube/refs.ts';
import type { PushedMetrics } from '../serving/autoscaler/metrics.ts';
import { type Address, formatAddress, listenError, parseAddress } from './address.ts';
import { onFirstObject } from './first-object.ts';
import type { HomePaths } from './home.ts';
import type { Counts } from './metrics.ts';
import type { Parts } from './parts.ts';

/** Deliveries under way may end for this long, milliseconds: they are begun again at the next start. */
const GRACE_MS = 10_000;
const KEDA_OPTION = 'PETREL_KEDA';
const KEDA_ADDRESS: Address = { host: '127.0.0.1', port: 9090 };
/** Largest question, bytes. */
const MAX_QUESTION = 1024 * 1024;

/** Row of the platform's socket: `{"question": …, "input": …}` is answered with `{"answer": …}`. See `Questions`. */
export const EVENTS_ASK = '/events/ask';

const QUESTIONS: Record<keyof Questions, true> = {
  history: true,
  replay: true,
  dead: true,
  follow: true,
  redrive: true,
  purge: true,
  subscriptions: true,
  streams: true,
  engine: true,
};

export interface EventingPartOptions {
  home: HomePaths;
  gateway: Gateway;
  log: Logger;
  client(name: string): KubeClient;
  /** The store behind the API, when it is in this process. */
  store: Store | undefined;
  queueLag: PushedMetrics;
}

/** Resolves when events are taken for the objects that exist. `routes` are rows for the platform's socket. */
export async function startEventingLater(
  options: EventingPartOptions,
  parts: Parts,
): Promise<{ routes: SocketRoute[]; counts: Counts }> {
  const { home, gateway, log, client, store, queueLag } = options;
  const keda = await openKeda(options, parts);
  let started: Promise<Eventing> | undefined;
  const begin = (): Promise<Eventing> => {
    found.stop();
    started ??= import('../eventing/index.ts').then(({ lagByRoute, startEventing }) => {
      const byRoute = lagByRoute((route, waiting) => queueLag.publish(route, waiting));
      return startEventing({
        client: client('eventing'),
        gateway,
        dir: home.dir,
        runDir: home.runDir,
        clock: systemClock,
        random: Math.random,
        log,
        lag(report) {
          byRoute(report);
          keda?.report(report);
        },
      });
    });
    started.catch((error) =>
      log.error('eventing could not be started', { error: String(error?.stack ?? error) }),
    );
    return started;
  };
  const found = onFirstObject(
    {
      resources: refs.EVENTING.map(({ group, plural }) => `${group}/${plural}`),
      watched: refs.EVENTING_CONNECTIONS,
      labelled: { resource: refs.NAMESPACES, label: 'eventing.knative.dev/injection', value: 'enabled' },
      store,
      client: () => client('eventing'),
      log,
    },
    () => void begin().catch(() => {}),
  );
  parts.add('eventing', async (graceMs) => {
    found.stop();
    const eventing = await started?.catch(() => undefined);
    await eventing?.stop(Math.min(graceMs, GRACE_MS));
  });
  if (found.exists) await begin().catch(() => {});
  return {
    async counts() {
      if (started === undefined) return [];
      const { metricsOf } = await import('../eventing/metrics.ts');
      return metricsOf(await started);
    },
    routes: [
      {
        method: 'POST',
        path: EVENTS_ASK,
        async handle(request, response) {
          const { question, input } = await readQuestion(request);
          if (started === undefined) throw nothingYet();
          const eventing = await started;
          sendJson(response, 200, { answer: await eventing.ask(question, input) });
        },
      },
    ],
  };
}

/** KEDA's push scaler, for those who ask for it with `PETREL_KEDA=host:port`. */
async function openKeda({ client, log }: EventingPartOptions, parts: Parts): Promise<Keda | undefined> {
  const text = process.env.PETREL_KEDA;
  if (!text) return undefined;
  const address = parseAddress(text, KEDA_ADDRESS, KEDA_OPTION);
  const { startKeda } = await import('../eventing/keda/index.ts');
  const keda = await startKeda({
    ...address,
    client: client('keda'),
    log: log.with({ component: 'keda' }),
  }).catch((error) => {
    throw listenError(error, address, KEDA_OPTION);
  });
  parts.add('keda', () => keda.stop());
  log.info('KEDA may ask what waits', { address: formatAddress(keda.address) });
  return keda;
}

function nothingYet(): PetrelError {
  return new PetrelError('NotFound', 'there are no events here', {
    why: 'There is no broker, channel or source yet.',
    fix: "petrel deploy <file> --on 'type=…' makes a broker and a trigger; so does petrel trigger create, or kubectl apply.",
  });
}

async function readQuestion(
  request: IncomingMessage,
): Promise<{ question: keyof Questions; input: Questions[keyof Questions]['input'] }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_QUESTION) throw new PetrelError('InvalidArgument', 'the question is too long');
    chunks.push(chunk);
  }
  let asked: unknown;
  try {
    asked = JSON.parse(Buffer.concat(chunks).toString());
  } catch (cause) {
    throw new PetrelError('InvalidArgument', 'the question is not JSON', { cause });
  }
  const { question, input } = (asked ?? {}) as { question?: unknown; input?: unknown };
  if (typeof question !== 'string' || !Object.hasOwn(QUESTIONS, question))
    throw new PetrelError('InvalidArgument', `question: must be one of ${Object.keys(QUESTIONS).join(', ')}`);
  if (typeof input !== 'object' || input === null)
    throw new PetrelError('InvalidArgument', 'input: must be an object');
  return { question: question as keyof Questions, input: input as Questions[keyof Questions]['input'] };
}
