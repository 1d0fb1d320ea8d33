/** What a service for functions is: a part of the platform that begins with the first function that needs it. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { reachableHost } from '../../base/reachable.ts';
import type { Gateway } from '../../gateway/contract.ts';
import type { PetrelFunction } from '../../kinds/function.ts';
import type { Informer } from '../../kube/informer.ts';
import type { SocketRoute } from '../packages/server.ts';

/** The socket in the run directory that gets what the gateway hands off to be carried out later. Nothing else may reach it: the gateway vouches for the route. */
export const ACCEPT_SOCKET = 'invocations.sock';

/** A field that only a path route may set: the request is an event of Lambda's as it is, not one of HTTP. Deliveries say it again. */
export const EVENT_FIELD = 'x-petrel-lambda-event';

export interface ServiceContext {
  functions: Informer<PetrelFunction>;
  /** The function that a Route leads to; see `Functions.behind`. */
  behind(namespace: string | undefined, route: string): PetrelFunction | undefined;
  /** The home directory: files that last. */
  dir: string;
  /** Sockets. */
  runDir: string;
  gateway: Pick<Gateway, 'address' | 'setPathRoute'>;
  /** Of this home; what proofs are made with. */
  secret: string;
  /** Where keyed state is, when not on this machine's disk: a URL. */
  stateBackend?: string;
  /** Where the bytes of blobs are, when not on this machine's disk: a URL of a bucket. */
  blobsBackend?: string;
  /** Origins of web pages that may use functions as tools, besides this machine's own. */
  toolOrigins: readonly string[];
  /** Asynchronous requests are accepted before there is a function: for Services that are none. */
  withoutFunctions: boolean;
  /** Hosts that outcomes may be told to although not everybody can reach them. */
  callbackHosts: readonly string[];
  clock: Clock;
  /** Uniform in [0, 1). */
  random: () => number;
  log: Logger;
}

export interface FunctionService {
  /** Rows of the platform's own socket. */
  readonly routes: SocketRoute[];
  /** Variables that instances of a function get. */
  env?(namespace: string, name: string, keyspace: string): Record<string, string>;
  /** Called with every function that there is or comes, and when it changes. */
  seen(fn: PetrelFunction): void;
  gone(fn: PetrelFunction): void;
  /** Takes up what an earlier life left; the gateway knows all routes. */
  start(): Promise<void>;
  /** Ends what it does by itself, for up to `graceMs`; the gateway and everything behind it still work, and it still answers. */
  drain?(graceMs: number): Promise<void>;
  /** The gateway has closed, and no instance works any more. */
  stop(): Promise<void>;
}

/** Where a client on this machine reaches the gateway. */
export function loopback({ address }: Pick<Gateway, 'address'>): { host: string; port: number } {
  const { host, port } = address;
  return { host: reachableHost(host), port };
}
