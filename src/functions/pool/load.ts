/** Loading a revision's code into an instance: what is sent, and what its answer means. */
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { EndpointAddress } from '../../gateway/contract.ts';
import { ConfigError, containerEnv, type NodeFacts } from '../../kinds/container-env.ts';
import type { Pod } from '../../kinds/pod.ts';
import type { Revision } from '../../kinds/serving.ts';
import {
  InstanceCallError,
  type InstanceChannel,
  InstanceGone,
  type SpecialiseParams,
  type SpecialiseResult,
} from '../instance-channel.ts';
import type { PackageStore } from '../packages/store.ts';
import type { ConfigCache } from './config.ts';
import { placeDebugTree } from './debug-tree.ts';
import { functionFailure, loadFailure } from './failures.ts';
import type { Member } from './members.ts';
import { type Code, codeCacheOf, codeOf, functionOf, userContainer } from './pods.ts';
import type { Ports } from './ports.ts';

/** Longest time that code may take to load, ms. */
const LOAD_TIMEOUT_MS = 60_000;
/** Whole request when a revision names no time, s; Knative's default. */
const DEFAULT_TIMEOUT_SECONDS = 300;

/** What the downward API can tell of the machine besides what the Pod says: instances run beside the platform. */
const machineFacts = ({ spec, status }: Pod): NodeFacts => ({
  nodeName: spec.nodeName ?? '',
  hostIP: status?.hostIP ?? '127.0.0.1',
  podIP: status?.podIP ?? '127.0.0.1',
  cpuMillis: availableParallelism() * 1000,
  memoryBytes: totalmem(),
});

/** The instance ended before it had answered, perhaps through no fault of the code. */
export class LoadInterrupted extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'LoadInterrupted';
  }
}

/** Where an instance takes requests that has no port: on its one socket, or as HTTP on `h.sock` beside it. */
export function addressAt(kind: 'mux' | 'http1-unix', socket: string): EndpointAddress {
  return { kind, path: kind === 'mux' ? socket : join(dirname(socket), 'h.sock') };
}

/** How instances get at the state of their function. */
export interface StateAccess {
  /** Resolves when `env` can be asked; undefined when it can already. */
  ready(): Promise<unknown> | undefined;
  /** The variables of an instance. */
  env(namespace: string, name: string, keyspace: string): Record<string, string>;
}

export interface LoaderOptions {
  packages: PackageStore;
  config: ConfigCache;
  ports: Ports;
  /** Holds one directory per package and language version. The node makes each, writable for the one instance that asks for it. */
  cacheDir: string;
  /** Where code that is debugged is put; absent: it is debugged where it is. */
  debugDir?: string | undefined;
  /** Whether functions may show their errors to clients. */
  development: boolean;
  /** Where instances reach the gateway, and through it each other, without leaving the machine; absent: they are not told. */
  gatewayUrl?: string | undefined;
  state?: StateAccess;
}

export interface Loader {
  /** Makes ready what loading needs besides an instance; undefined when it is ready, which it is on the fast path. */
  prepare(revision: Revision): Promise<unknown> | undefined;
  /**
   * Loads the code into the member and resolves with where it takes requests, and how long the code itself took to load (ms). Rejects
   * with `InstanceError` when the code is at fault, with `LoadInterrupted` when the instance ended in the middle.
   */
  load(revision: Revision, member: Member): Promise<{ address: EndpointAddress; loadMs: number }>;
  /**
   * Loads the code into the member for instances that are to be forked from it; `problem` is why that cannot be. Rejects as `load`.
   * Nothing can be asked of the member afterwards.
   */
  preload(revision: Revision, member: Member): Promise<{ loadMs: number; problem?: string }>;
  /** Everything that loaded code may depend on, as text: what is forked must have been loaded with the same. Once `prepare` has resolved. */
  surroundings(revision: Revision): string;
}

export function createLoader(options: LoaderOptions & { socket(member: Member): string }): Loader {
  const { packages, config, ports, gatewayUrl } = options;
  const environment = (
    revision: Revision,
    member: Member | undefined,
    port: number,
  ): Record<string, string> => {
    const namespace = revision.metadata.namespace ?? 'default';
    const metadata = { name: member?.name ?? '', namespace };
    const pod: Pod = member?.pod ?? { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [] } };
    let env: Record<string, string>;
    try {
      env = containerEnv(pod, userContainer(revision), {}, config.sources(namespace), machineFacts(pod));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      // Not the code's fault, and it passes as soon as somebody creates what is missing.
      throw new PetrelError('NotReady', `The function's environment is not complete: ${error.message}`, {
        why: `It is referred to in namespace "${namespace}" and is not there.`,
        fix: 'Create it; the next request finds it.',
        cause: error,
      });
    }
    const name = functionOf(revision);
    const keyspace = codeOf(revision)?.state;
    return {
      ...env,
      ...(keyspace === undefined ? {} : options.state?.env(namespace, name, keyspace)),
      PORT: String(port),
      K_SERVICE: name,
      K_CONFIGURATION: revision.metadata.labels?.['serving.knative.dev/configuration'] ?? name,
      K_REVISION: revision.metadata.name,
      ...(gatewayUrl !== undefined && {
        PETREL_GATEWAY_URL: gatewayUrl,
        PETREL_FUNCTIONS_URL: `${gatewayUrl}/fn/${namespace}`,
      }),
    };
  };

  /** What an instance is told of the code; throws when it cannot be told anything. */
  const paramsOf = async (revision: Revision, member: Member, channel: InstanceChannel) => {
    const code = codeOf(revision) as Code;
    member.port ??= await ports.take();
    const { port } = member;
    const cache = codeCacheOf(revision, channel.hello.language);
    const namespace = revision.metadata.namespace ?? 'default';
    const unpacked = packages.ready(code.digest) ?? (await packages.directory(code.digest));
    const tree =
      code.debugPort === undefined || options.debugDir === undefined
        ? unpacked
        : await placeDebugTree(unpacked, options.debugDir, namespace, functionOf(revision));
    const params: SpecialiseParams = {
      namespace,
      function: functionOf(revision),
      revision: revision.metadata.name,
      code: tree,
      workdir: tree,
      ...(code.entry ? { entry: code.entry } : {}),
      ...(code.handler ? { handler: code.handler } : {}),
      ...(code.shape ? { shape: code.shape } : {}),
      ...(code.debugPort ? { debugPort: code.debugPort } : {}),
      env: environment(revision, member, port),
      ...(cache === undefined ? {} : { cache: join(options.cacheDir, cache) }),
      development: options.development,
      timeoutMs: (revision.spec.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS) * 1000,
      concurrency: revision.spec.containerConcurrency ?? 0,
      port,
    };
    return params;
  };

  /** Has an instance load code; rejects as `Loader.load` does. */
  const ask = async <T>(
    method: 'specialise' | 'preload',
    revision: Revision,
    member: Member,
    more: object = {},
  ): Promise<T> => {
    const { channel } = member;
    if (channel === undefined) throw new LoadInterrupted('the instance is not reachable');
    const params = await paramsOf(revision, member, channel);
    try {
      return await channel.call<T>(method, { ...params, ...more }, LOAD_TIMEOUT_MS);
    } catch (error) {
      if (error instanceof InstanceCallError) throw loadFailure(error);
      if (!(error instanceof InstanceGone)) throw error;
      if (!error.timedOut) throw new LoadInterrupted(error.message);
      throw functionFailure(
        500,
        'load_error',
        `The code did not finish loading within ${LOAD_TIMEOUT_MS / 1000} s.`,
      );
    }
  };

  return {
    prepare(revision) {
      const code = codeOf(revision) as Code;
      const waits = [
        config.prepare(userContainer(revision)),
        packages.ready(code.digest) === undefined ? packages.directory(code.digest) : undefined,
        code.state === undefined ? undefined : options.state?.ready(),
      ].filter((wait) => wait !== undefined);
      if (waits.length === 0) return undefined;
      return Promise.all(waits).catch((error) => {
        if (error instanceof PetrelError && error.code === 'NotFound') {
          throw functionFailure(503, 'package_missing', `${error.message} ${error.fix}`);
        }
        throw error;
      });
    },
    async load(revision, member) {
      const { transport, loadMs } = await ask<SpecialiseResult>('specialise', revision, member);
      const address = 'port' in transport ? transport : addressAt(transport.kind, options.socket(member));
      return { address, loadMs };
    },
    preload: (revision, member) =>
      ask('preload', revision, member, { trusted: codeOf(revision)?.zygote === 'function' }),
    surroundings: (revision) => JSON.stringify(environment(revision, undefined, 0)),
  };
}
