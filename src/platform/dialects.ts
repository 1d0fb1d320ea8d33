/** Dialects: other platforms' kinds, translated. Nothing of one is loaded before the first of its objects. */
import { createHmac } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { VERSION } from '../base/version.ts';
import type { Fission } from '../dialects/fission/index.ts';
import type { Lambda } from '../dialects/lambda/index.ts';
import type { Store } from '../engine/store/contract.ts';
import { type SocketRoute, sendJson } from '../functions/packages/server.ts';
import type { PackageStore } from '../functions/packages/store.ts';
import type { KubeClient, ResourceRef } from '../kube/client.ts';
import { FUNCTIONS } from '../kube/refs.ts';
import type { KubeTransport } from '../kube/transport.ts';
import { callbackHosts } from './callback-hosts.ts';
import type { EarlyGateway } from './controllers.ts';
import { onFirstObject } from './first-object.ts';
import type { HomePaths } from './home.ts';
import type { Counts } from './metrics.ts';
import type { Parts } from './parts.ts';
import { sessionSecret } from './session-secret.ts';

/** Kinds of Fission's of which one shows that the dialect is spoken. */
const FISSION_PLURALS = [
  'functions',
  'environments',
  'packages',
  'httptriggers',
  'timetriggers',
  'kuberneteswatchtriggers',
  'messagequeuetriggers',
  'canaryconfigs',
];
/** Where changes can only be watched, each kind watched is a connection: these two come first in practice. */
const FISSION_WATCHED: ResourceRef[] = [
  { group: 'fission.io', version: 'v1', plural: 'environments', kind: 'Environment', namespaced: true },
  { group: 'fission.io', version: 'v1', plural: 'functions', kind: 'Function', namespaced: true },
];

export interface DialectsOptions {
  home: HomePaths;
  packages: PackageStore;
  gateway: Pick<EarlyGateway, 'gateway' | 'follow'>;
  log: Logger;
  client(name: string): KubeClient;
  transport(name: string): KubeTransport;
  /** The store behind the API, when it is in this process. */
  store: Store | undefined;
}

/** Before the token in the storage service's path; a command that only prints it need not load the dialect. */
const STORAGE_PATH = '/fission-storage';
/** The same in the path of the router's internal listener. */
const INTERNAL_PATH = '/fission-internal';

/** Path of a service of Fission's that only who knows the token in it may use. */
function secretPath(home: HomePaths, path: string, service: string): string {
  const token = createHmac('sha256', sessionSecret(home)).update(`fission ${service}`).digest('hex');
  return `${path}/${token.slice(0, 32)}`;
}
const storagePath = (home: HomePaths) => secretPath(home, STORAGE_PATH, 'storage');
const internalPath = (home: HomePaths) => secretPath(home, INTERNAL_PATH, 'router');

/** Where Fission's storage service is, by the gateway's address. */
export const storageUrl = (home: HomePaths, gateway: string): string =>
  `http://${gateway}${storagePath(home)}`;

/** Where the internal listener of Fission's router is, by the gateway's address. */
export const internalUrl = (home: HomePaths, gateway: string): string =>
  `http://${gateway}${internalPath(home)}`;

/**
 * Resolves when the objects that exist are translated; dialects of which there are none yet start with their first object. The result
 *  are rows for the platform's socket, and what was counted.
 */
export async function startDialects(
  options: DialectsOptions,
  parts: Parts,
): Promise<{ routes: SocketRoute[]; counts: Counts }> {
  const [fission] = await Promise.all([
    startFissionLater(options, parts),
    startLambdaLater(options, parts),
    openfaas(options, parts),
  ]);
  return fission;
}

/** OpenFaaS' REST API, for those who ask for it: it brings a password of its own. */
async function openfaas(
  { home, gateway, client, transport, log }: DialectsOptions,
  parts: Parts,
): Promise<void> {
  if (process.env.PETREL_OPENFAAS !== 'on') return;
  const [{ startOpenfaas }, { createOutsidePolicy }, { sealCallback }] = await Promise.all([
    import('../dialects/openfaas/index.ts'),
    import('../base/outside.ts'),
    import('../base/callback.ts'),
  ]);
  const { problem } = createOutsidePolicy(() => gateway.gateway.address.port, callbackHosts());
  const secret = sessionSecret(home);
  const started = await startOpenfaas({
    client: client('openfaas'),
    transport: transport('openfaas'),
    gateway: gateway.gateway,
    socket: join(home.runDir, 'openfaas.sock'),
    callbacks: { problem, seal: (route, callback) => sealCallback(secret, route, callback) },
    password: openfaasPassword(home),
    version: VERSION,
    log: log.with({ dialect: 'openfaas' }),
  });
  parts.add('openfaas', () => started.stop());
}

/** The password of OpenFaaS' user `admin`; also in a file, for `faas-cli login --password-stdin`. */
function openfaasPassword(home: HomePaths): string {
  const password = createHmac('sha256', sessionSecret(home)).update('openfaas').digest('hex').slice(0, 32);
  writeFileSync(join(home.dir, 'openfaas-password'), `${password}\n`, { mode: 0o600 });
  return password;
}

/** Lambda's Invoke operation is there with the first Function. */
async function startLambdaLater(options: DialectsOptions, parts: Parts): Promise<void> {
  const { home, gateway, client, transport, store, log } = options;
  let started: Promise<Lambda> | undefined;
  let unfollow = () => {};
  const begin = () => {
    unfollow();
    started ??= import('../dialects/lambda/index.ts').then(({ startLambda }) =>
      startLambda({
        gateway: gateway.gateway,
        socket: join(home.runDir, 'lambda.sock'),
        log: log.with({ dialect: 'lambda' }),
        client: client('lambda'),
        transport: transport('lambda'),
      }),
    );
    started.catch((error) => log.error('a dialect could not be started', { error: String(error) }));
    return started;
  };
  const found = onFirstObject(
    {
      resources: ['petrel.dev/functions'],
      watched: [FUNCTIONS],
      store,
      client: () => client('dialects'),
      log,
    },
    () => void begin(),
  );
  unfollow = found.stop;
  if (found.exists) await begin();
  parts.add('lambda', async () => {
    unfollow();
    await (await started)?.stop();
  });
}

/** Asked by `petrel fission env`: Fission's command uploads archives before it writes the first object. */
export const FISSION_BEGIN = '/dialects/fission';

/** Fission's objects are translated from the first one on; those that exist before this resolves. */
async function startFissionLater(
  options: DialectsOptions,
  parts: Parts,
): Promise<{ routes: SocketRoute[]; counts: Counts }> {
  const { log } = options;
  const dir = fissionDir(options.home);
  let started: Promise<Fission> | undefined;
  const begin = (): Promise<Fission> => {
    found.stop();
    started ??= startFission(options);
    return started;
  };
  const first = () =>
    void begin().catch((error) =>
      log.error('a dialect could not be started', { error: String(error?.stack ?? error) }),
    );
  const found = onFirstObject(
    {
      resources: FISSION_PLURALS.map((plural) => `fission.io/${plural}`),
      watched: FISSION_WATCHED,
      store: options.store,
      client: () => options.client('dialects'),
      log,
    },
    first,
  );
  parts.add('dialects', async () => {
    found.stop();
    await (await started)?.stop();
  });
  if (existsSync(dir) || found.exists) await begin();
  const route: SocketRoute = {
    method: 'POST',
    path: FISSION_BEGIN,
    async handle(_, response) {
      await begin();
      // From the next start on, too.
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      sendJson(response, 200, {});
    },
  };
  return { routes: [route], counts: async () => (started === undefined ? [] : (await started).counts()) };
}

/** Uploads of Fission's storage service; that it exists says that Fission's command is used here. */
const fissionDir = (home: HomePaths): string => join(home.dir, 'fission');

async function startFission({ home, packages, gateway, log, client }: DialectsOptions): Promise<Fission> {
  const [{ startFission: start }, tar, { formatOf }] = await Promise.all([
    import('../dialects/fission/index.ts'),
    import('../base/archive/tar.ts'),
    import('../functions/archive/unpack.ts'),
  ]);
  async function* packFile(name: string, body: Buffer, executable: boolean): AsyncGenerator<Uint8Array> {
    yield tar.tarHeader({
      type: 'file',
      name,
      link: '',
      size: body.length,
      mode: executable ? 0o755 : 0o644,
    });
    yield body;
    yield tar.tarPadding(body.length);
    yield tar.TAR_END;
  }
  return start({
    client: client('fission'),
    gateway: gateway.gateway,
    follow: (listener) => gateway.follow(listener),
    packages,
    packFile,
    isArchive: (head) => formatOf(head) !== undefined,
    dir: fissionDir(home),
    socket: join(home.runDir, 'fission.sock'),
    storagePath: storagePath(home),
    internalPath: internalPath(home),
    node: process.execPath,
    fromKeda: async (type) => {
      const { SOURCE_MODULES } = await import('../eventing/sources/modules.ts');
      return (await SOURCE_MODULES[type]?.())?.fromKeda;
    },
    version: VERSION,
    log,
    clock: systemClock,
  });
}
