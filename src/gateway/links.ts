/** The two ways the main side reaches a data plane: in its own thread, or in a worker thread by messages. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { LogFields, Logger, LogLevel } from '../base/log.ts';
import type { GatewayLimits } from './limits.ts';
import { Plane, type PlaneCommand, type PlaneEvents, type PlaneStats } from './plane.ts';
import type { GatewayIdentity } from './policy/around.ts';

export interface PlaneLink {
  listen(host: string, port: number, reusePort: boolean): Promise<{ host: string; port: number }>;
  send(command: PlaneCommand): void;
  /** Someone may have freed a slot of the revision. */
  wake(key: string): void;
  collect(): Promise<PlaneStats[]>;
  /** See `Plane.close`; may be called again with less grace. */
  close(graceMs: number, gently?: boolean): Promise<void>;
  /** Resolves when it takes no new connections any more: it is being closed, or has died. */
  readonly deaf: Promise<void>;
  /** The thread has ended. */
  onExit: () => void;
}

export class LocalLink implements PlaneLink {
  onExit: () => void = () => {};
  readonly plane: Plane;

  constructor(
    worker: number,
    limits: GatewayLimits,
    identity: GatewayIdentity,
    log: Logger,
    events: PlaneEvents,
  ) {
    this.plane = new Plane({ worker, limits, identity, log, events, sync: () => {} });
  }

  get deaf(): Promise<void> {
    return this.plane.deaf;
  }

  listen(host: string, port: number, reusePort: boolean): Promise<{ host: string; port: number }> {
    return this.plane.listen(host, port, reusePort);
  }

  send(command: PlaneCommand): void {
    this.plane.apply(command);
  }

  wake(key: string): void {
    this.plane.woken(key);
  }

  async collect(): Promise<PlaneStats[]> {
    return this.plane.collect();
  }

  close(graceMs: number, gently = false): Promise<void> {
    return this.plane.close(graceMs, gently);
  }
}

/** What a worker is given at its start. */
export interface WorkerStart {
  worker: number;
  limits: GatewayLimits;
  identity: GatewayIdentity;
  port: MessagePort;
  /** Commands sent so far; lets the worker see at a request that one is waiting to be read. */
  sent: SharedArrayBuffer;
  /** Name of the channel on which workers wake each other. */
  channel: string;
}

export type ToWorker =
  | { type: 'listen'; host: string; port: number; reusePort: boolean }
  | { type: 'command'; command: PlaneCommand }
  | { type: 'wake'; key: string }
  | { type: 'collect' }
  | { type: 'close'; graceMs: number; gently: boolean };

export type FromWorker =
  | { type: 'listening'; host: string; port: number }
  | { type: 'failed'; code: string; message: string }
  | { type: 'demand'; key: string }
  | { type: 'down'; key: string; id: string; reason: string }
  | { type: 'released'; row: number; turn: number }
  | { type: 'keyMissing'; namespace: string; name: string }
  | { type: 'active' }
  | { type: 'stats'; stats: PlaneStats[] }
  | { type: 'log'; level: LogLevel; message: string; fields: LogFields | undefined }
  | { type: 'deaf' }
  | { type: 'closed' };

export class WorkerLink implements PlaneLink {
  onExit: () => void = () => {};
  readonly thread: Worker;
  readonly #port: MessagePort;
  readonly #sent = new Int32Array(new SharedArrayBuffer(4));
  readonly #events: PlaneEvents;
  readonly #log: Logger;
  #listening: PromiseWithResolvers<{ host: string; port: number }> = Promise.withResolvers();
  #stats: PromiseWithResolvers<PlaneStats[]> | null = null;
  #closed: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #deaf: PromiseWithResolvers<void> = Promise.withResolvers();
  #ended = false;

  constructor(
    worker: number,
    limits: GatewayLimits,
    identity: GatewayIdentity,
    log: Logger,
    events: PlaneEvents,
    channel: string,
  ) {
    this.#events = events;
    this.#log = log;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const sent = this.#sent.buffer as SharedArrayBuffer;
    const start: WorkerStart = { worker, limits, identity, port: port2, sent, channel };
    this.thread = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: start,
      transferList: [port2],
      name: `gateway-${worker}`,
    });
    port1.on('message', (message: FromWorker) => this.#receive(message));
    this.thread.on('error', (error) =>
      log.error('gateway worker', { worker, error: String((error as Error).stack ?? error) }),
    );
    this.thread.on('exit', () => this.#exited());
  }

  get deaf(): Promise<void> {
    return this.#deaf.promise;
  }

  #exited(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#port.close();
    this.#listening.reject(new Error('the gateway worker ended'));
    this.#stats?.resolve([]);
    this.#deaf.resolve();
    this.#closed.resolve();
    this.onExit();
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'listening':
        this.#listening.resolve({ host: message.host, port: message.port });
        break;
      case 'failed':
        this.#listening.reject(Object.assign(new Error(message.message), { code: message.code }));
        break;
      case 'demand':
        this.#events.demand(message.key);
        break;
      case 'down':
        this.#events.endpointDown(message.key, message.id, message.reason);
        break;
      case 'released':
        this.#events.released(message.row, message.turn);
        break;
      case 'keyMissing':
        this.#events.keyMissing(message.namespace, message.name);
        break;
      case 'active':
        this.#events.active();
        break;
      case 'stats':
        this.#stats?.resolve(message.stats);
        this.#stats = null;
        break;
      case 'log':
        this.#log[message.level](message.message, message.fields);
        break;
      case 'deaf':
        this.#deaf.resolve();
        break;
      case 'closed':
        this.#closed.resolve();
        break;
    }
  }

  #post(message: ToWorker): void {
    if (!this.#ended) this.#port.postMessage(message);
    Atomics.add(this.#sent, 0, 1);
  }

  listen(host: string, port: number, reusePort: boolean): Promise<{ host: string; port: number }> {
    this.#post({ type: 'listen', host, port, reusePort });
    return this.#listening.promise;
  }

  send(command: PlaneCommand): void {
    this.#post({ type: 'command', command });
  }

  wake(key: string): void {
    this.#post({ type: 'wake', key });
  }

  collect(): Promise<PlaneStats[]> {
    if (this.#ended) return Promise.resolve([]);
    this.#stats ??= Promise.withResolvers();
    this.#post({ type: 'collect' });
    return this.#stats.promise;
  }

  async close(graceMs: number, gently = false): Promise<void> {
    this.#listening.promise.catch(() => {});
    this.#post({ type: 'close', graceMs, gently });
    await this.#closed.promise;
    await this.thread.terminate();
  }
}
