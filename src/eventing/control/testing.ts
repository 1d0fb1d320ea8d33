/** The controllers against the real API server and an engine that only remembers what it was told. */
import assert from 'node:assert/strict';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import { inProcessTransport } from '../../engine/apiserver/in-process.ts';
import { ADMIN, createTestApi, type TestApi } from '../../engine/apiserver/testing.ts';
import { conditionOf } from '../../kinds/conditions.ts';
import type { Json, UntypedObject } from '../../kinds/object.ts';
import type { KubeClient, ResourceRef } from '../../kube/client.ts';
import { apiVersionOf } from '../../kube/refs.ts';
import { createClient } from '../../kube/rest.ts';
import type { EngineControl, Handed, SinkSpec, SourceSpec, StreamSpec, SubscriptionSpec } from '../model.ts';
import { type Controllers, startControllers } from './index.ts';

export const BASE = 'http://127.0.0.1:8080/events';

/** What was told and not taken back. */
export class RememberingEngine implements EngineControl {
  readonly streams = new Map<string, StreamSpec>();
  readonly subscriptions = new Map<string, SubscriptionSpec>();
  readonly sources = new Map<string, SourceSpec>();
  readonly sinks = new Map<string, SinkSpec>();
  /** How many calls there were of each setter, by key. */
  readonly calls = new Map<string, number>();
  completed = 0;

  #set<T>(map: Map<string, T>, key: string, spec: T | null): void {
    this.calls.set(key, (this.calls.get(key) ?? 0) + 1);
    // As between threads: what cannot be cloned is found here.
    if (spec === null) map.delete(key);
    else map.set(key, structuredClone(spec));
  }
  setStream(key: string, spec: StreamSpec | null): void {
    this.#set(this.streams, key, spec);
  }
  setSubscription(key: string, spec: SubscriptionSpec | null): void {
    this.#set(this.subscriptions, key, spec);
  }
  setSource(key: string, spec: SourceSpec | null): void {
    this.#set(this.sources, key, spec);
  }
  setSink(key: string, spec: SinkSpec | null): void {
    this.#set(this.sinks, key, spec);
  }
  complete(): void {
    this.completed++;
  }
  /** What was brought, by the key of the source. */
  readonly brought: [key: string, record: Uint8Array][] = [];
  readonly checkpoints = new Map<string, Json>();
  readonly handlers = new Map<string, (input: Json) => Promise<Json>>();
  bring(key: string, record: Uint8Array): Promise<Handed> {
    this.brought.push([key, record]);
    return Promise.resolve('accepted');
  }
  checkpoint(key: string): Promise<Json | undefined> {
    return Promise.resolve(this.checkpoints.get(key));
  }
  saveCheckpoint(key: string, value: Json): Promise<void> {
    this.checkpoints.set(key, value);
    return Promise.resolve();
  }
  applied(): Promise<void> {
    return Promise.resolve();
  }
  serve(name: string, handler: (input: Json) => Promise<Json>): void {
    this.handlers.set(name, handler);
  }
  ask(): Promise<never> {
    return Promise.reject(new Error('not asked in these tests'));
  }
}

export interface World {
  api: TestApi;
  client: KubeClient;
  engine: RememberingEngine;
  controllers: Controllers;
  /** Ends the controllers and begins anew with another engine, as a restart of the platform does; `checkpoints` are what it finds on disk. */
  restart(checkpoints?: Record<string, Json>): Promise<RememberingEngine>;
  create(resource: ResourceRef, name: string, spec: object, metadata?: object): Promise<UntypedObject>;
  get(resource: ResourceRef, name: string): Promise<UntypedObject>;
  patch(resource: ResourceRef, name: string, patch: object): Promise<UntypedObject>;
  /** Writes a status as another controller would. */
  patchStatus(resource: ResourceRef, name: string, status: object): Promise<UntypedObject>;
  remove(resource: ResourceRef, name: string): Promise<void>;
  /** Resolves with the object as soon as it is as wanted. */
  until(
    resource: ResourceRef,
    name: string,
    is: (object: UntypedObject) => boolean,
    what?: string,
  ): Promise<UntypedObject>;
  /** Waits until `Ready` (or another condition) has that status, and reason where given. */
  condition(resource: ResourceRef, name: string, wanted: string, type?: string): Promise<UntypedObject>;
  /** Resolves with what `look` finds, as soon as it does. */
  eventually<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T>;
  close(): Promise<void>;
}

const PATIENCE_MS = 10_000;

/** `before` makes objects that exist when the controllers start. */
export async function createWorld(before?: (client: KubeClient) => Promise<void>): Promise<World> {
  const api = await createTestApi();
  const client = createClient(inProcessTransport(api.server, ADMIN));
  const start = async (checkpoints: Record<string, Json> = {}) => {
    const engine = new RememberingEngine();
    for (const [key, value] of Object.entries(checkpoints)) engine.checkpoints.set(key, value);
    const controllers = await startControllers({
      client,
      engine,
      base: BASE,
      clock: systemClock,
      random: () => 0.5,
      log: silentLogger,
    });
    return { engine, controllers };
  };
  await before?.(client);
  let now = await start();

  const eventually: World['eventually'] = async (what, look) => {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (Date.now() > deadline) throw new assert.AssertionError({ message: `never came: ${what}` });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const get: World['get'] = (resource, name) => client.get<UntypedObject>(resource, 'default', name);
  const until: World['until'] = async (resource, name, is, what = 'as wanted') => {
    let last: UntypedObject | undefined;
    try {
      return await eventually(`${resource.kind} ${name} ${what}`, async () => {
        last = await get(resource, name).catch(() => undefined);
        return last && is(last) ? last : undefined;
      });
    } catch (error) {
      (error as Error).message += `\n${JSON.stringify(last?.status, null, 1)}`;
      throw error;
    }
  };
  return {
    api,
    client,
    get engine() {
      return now.engine;
    },
    get controllers() {
      return now.controllers;
    },
    async restart(checkpoints) {
      await now.controllers.stop();
      now = await start(checkpoints);
      return now.engine;
    },
    create: (resource, name, spec, metadata = {}) =>
      client.create(resource, {
        apiVersion: apiVersionOf(resource),
        kind: resource.kind,
        metadata: { name, namespace: 'default', ...metadata },
        spec,
      } as UntypedObject),
    get,
    patch: (resource, name, patch) => client.patch(resource, 'default', name, 'merge', patch as never),
    patchStatus: (resource, name, status) =>
      client.patch(resource, 'default', name, 'merge', { status } as never, { subresource: 'status' }),
    remove: (resource, name) => client.delete(resource, 'default', name),
    until,
    condition: (resource, name, wanted, type = 'Ready') =>
      until(
        resource,
        name,
        (object) => {
          const found = conditionOf(object, type);
          const text = [found?.status, found?.reason].filter(Boolean).join(' ');
          return (
            (text === wanted || found?.status === wanted) &&
            object.status?.observedGeneration === object.metadata.generation
          );
        },
        `with ${type} ${wanted}`,
      ),
    eventually,
    async close() {
      await now.controllers.stop();
      await api.close();
    },
  };
}
