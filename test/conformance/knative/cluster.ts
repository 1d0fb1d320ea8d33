/** A platform with the test images on it, and what every conformance test does with one: make objects, wait for them, send requests. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { after, describe, type TestContext } from 'node:test';
import { conditionOf } from '../../../src/kinds/conditions.ts';
import type { KubeObject } from '../../../src/kinds/object.ts';
import type { Pod } from '../../../src/kinds/pod.ts';
import type { Configuration, Revision, Route, Service } from '../../../src/kinds/serving.ts';
import { KubeError, type ResourceRef } from '../../../src/kube/client.ts';
import {
  apiVersionOf,
  CONFIGURATIONS,
  KSERVICES,
  NAMESPACES,
  PODS,
  REVISIONS,
  ROUTES,
} from '../../../src/kube/refs.ts';
import { type Answer, call, eventually, Petrel, ROOT, Scratch, type Status } from '../../lib/platform.ts';

/** Where the objects of the tests live; upstream's names. */
export const NAMESPACE = 'serving-tests';
export const OTHER_NAMESPACE = 'serving-tests-alt';

/** What the test images answer. */
export const TEXTS = {
  helloworld: 'Hello World! How about some tasty noodles?',
  pizzaplanetv1: 'What a spaceport!',
  pizzaplanetv2: 'Re-energize yourself with a slice of pepperoni!',
  volumes: 'From file in empty dir!',
  sidecarcontainer: 'Yay!! multi-container works',
} as const;

export const imageOf = (name: string) => `dev.local/${name}`;

type Fields = Record<string, unknown>;

/** What a test's Service says beside its image; the fields are the API's own. */
export interface Template {
  /** Of the template. */
  metadata?: { name?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  /** Of the only container. */
  container?: Fields;
  /** Of the template's spec. */
  spec?: Fields;
}

export function templateFor(image: string, { metadata, container, spec }: Template = {}): Fields {
  const template = { spec: { containers: [{ image: imageOf(image), ...container }], ...spec } };
  return metadata ? { metadata, ...template } : template;
}

/** `TestServiceBYOName` → `service-byo-name`. */
export function nameOf(t: TestContext): string {
  const words = t.fullName
    .split(' > ')
    .slice(1)
    .join('-')
    .replaceAll(/^Test|-Test/g, '-');
  const kebab = words.replaceAll(/([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, '$1$3-$2');
  const name = kebab
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  // A Service's name ends up in names that must keep within 63 characters.
  return name.length <= 44 ? name : `${name.slice(0, 38)}-${String(hash(name)).slice(0, 5)}`;
}

const hash = (text: string) => [...text].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) >>> 0, 7);

export class Cluster {
  readonly #scratch = new Scratch();
  readonly #petrel = new Petrel(this.#scratch.path('h'));
  #status: Status | undefined;
  #anyPod: Pod | undefined;
  #api: Awaited<ReturnType<Petrel['api']>> | undefined;

  async start(): Promise<void> {
    this.#status = await this.#petrel.json<Status>(['up', '--detach', '--gateway', ':0', '--api', ':0'], {
      env: { PETREL_IMAGES: `${ROOT}test/images` },
    });
    this.#api = await this.#petrel.api();
    for (const name of [NAMESPACE, OTHER_NAMESPACE])
      await this.api.create<KubeObject>(NAMESPACES, {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name },
      });
    this.#anyPod = await eventually('a Pod of a warm pool', async () =>
      (await this.api.list<Pod>(PODS)).items.find((pod) => conditionOf(pod, 'petrel.dev/Sandboxed')),
    );
  }

  /** For `skip`: false where the machine lets Pods have what this condition of theirs says, else why not. */
  lacks(condition: string): string | false {
    const { status, reason, message } = conditionOf(this.#anyPod, condition) ?? {};
    return status === 'True' ? false : `waits for the container driver: ${reason}: ${message}`;
  }

  async stop(): Promise<void> {
    this.#api?.close();
    await this.#petrel.stop();
    this.#scratch.dispose();
  }

  get api() {
    assert.ok(this.#api, 'the platform runs');
    return this.#api;
  }

  /** The end of the platform's log. */
  log(): string {
    return this.#petrel.log();
  }

  /** Creates an object that goes when the test ends. */
  async create<T extends KubeObject = KubeObject>(
    t: TestContext,
    resource: ResourceRef,
    object: { metadata: KubeObject['metadata'] } & Record<string, unknown>,
  ): Promise<T> {
    const whole = {
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      ...object,
      metadata: { namespace: NAMESPACE, ...object.metadata },
    };
    const made = await this.api.create<KubeObject>(resource, whole);
    t.after(() => this.remove(resource, made));
    return made as T;
  }

  /** Deletes the object, if it still is there. */
  async remove(resource: ResourceRef, { metadata: { namespace, name } }: KubeObject): Promise<void> {
    try {
      await this.api.delete(resource, namespace, name, { propagationPolicy: 'Foreground' });
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 404) throw error;
    }
  }

  /** A Service named after the test. */
  createService(
    t: TestContext,
    image: string,
    template: Template = {},
    metadata: Partial<KubeObject['metadata']> = { name: nameOf(t) },
  ): Promise<Service> {
    const spec = { template: templateFor(image, template) };
    return this.create<Service>(t, KSERVICES, { metadata: metadata as KubeObject['metadata'], spec });
  }

  /** A Service that has become Ready, whose status is complete. */
  async readyService(...wanted: Parameters<Cluster['createService']>): Promise<Service> {
    const { metadata } = await this.createService(...wanted);
    const service = await this.untilService(metadata, isReady);
    const { url, latestCreatedRevisionName, latestReadyRevisionName, observedGeneration } =
      service.status ?? {};
    assert.ok(url && latestCreatedRevisionName && latestReadyRevisionName, 'the status of a ready Service');
    assert.equal(observedGeneration, 1);
    return service;
  }

  get<T extends KubeObject>(resource: ResourceRef, name: string, namespace = NAMESPACE): Promise<T> {
    return this.api.get<T>(resource, namespace, name);
  }
  service(name: string): Promise<Service> {
    return this.get<Service>(KSERVICES, name);
  }
  configuration(name: string): Promise<Configuration> {
    return this.get<Configuration>(CONFIGURATIONS, name);
  }
  route(name: string): Promise<Route> {
    return this.get<Route>(ROUTES, name);
  }
  revision(name: string): Promise<Revision> {
    return this.get<Revision>(REVISIONS, name);
  }

  /** Changes the object as it is now, again when somebody else was faster. */
  async change<T extends KubeObject>(
    resource: ResourceRef,
    name: string,
    edit: (object: T) => void,
  ): Promise<T> {
    for (;;) {
      const object = await this.get<T>(resource, name);
      edit(object);
      try {
        return await this.api.update(resource, object);
      } catch (error) {
        if (!(error instanceof KubeError) || error.code !== 409) throw error;
      }
    }
  }
  changeService(name: string, edit: (service: Service) => void): Promise<Service> {
    return this.change(KSERVICES, name, edit);
  }
  useImage(name: string, image: string): Promise<Service> {
    return this.changeService(name, ({ spec }) => {
      spec.template.spec.containers[0]!.image = imageOf(image);
    });
  }

  /** Waits until the object is as `wanted` says; fails with how it was last. */
  async until<T extends KubeObject>(
    resource: ResourceRef,
    { name, namespace = NAMESPACE }: { name: string; namespace?: string },
    wanted: (object: T) => boolean,
    limitMs = 30_000,
  ): Promise<T> {
    let last: T | undefined;
    try {
      return await eventually(
        `${resource.kind} ${name}`,
        async () => {
          last = await this.get<T>(resource, name, namespace);
          return wanted(last) && last;
        },
        limitMs,
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${JSON.stringify(last, undefined, 1)}${this.log()}`);
    }
  }
  untilService(
    named: { name: string; namespace?: string },
    wanted: (service: Service) => boolean,
  ): Promise<Service> {
    return this.until<Service>(KSERVICES, named, wanted);
  }

  /** Waits for a revision after `old` to be made and to become ready; its name. */
  async nextRevision({ metadata: { name }, status }: Service): Promise<string> {
    const old = status?.latestCreatedRevisionName;
    const created = await this.untilService({ name }, (one) => one.status?.latestCreatedRevisionName !== old);
    const revision = created.status?.latestCreatedRevisionName ?? '';
    await this.untilService({ name }, (one) => one.status?.latestReadyRevisionName === revision);
    return revision;
  }

  /** One request to a URL of a status, by way of the gateway. */
  ask(
    url: string | undefined,
    options: { path?: string; method?: string; headers?: Record<string, string>; timeoutMs?: number } = {},
  ): Promise<Answer> {
    assert.ok(url, 'the status has a URL');
    const { host, pathname } = new URL(url);
    return call(this.#status!.gateway, options.path ?? pathname, { ...options, host });
  }

  /** The next request is answered with 200 and `text`. */
  async assertServes(url: string | undefined, text: string, path?: string): Promise<void> {
    const { status, body } = await this.ask(url, { path });
    assert.equal(status, 200, body);
    assert.ok(body.includes(text), `${JSON.stringify(body)} contains ${JSON.stringify(text)}`);
  }
}

/** Ready, with nothing left to be done about the latest change. */
export function isReady(object: Service | Route | Configuration | Revision): boolean {
  const { metadata, status } = object;
  return (
    conditionOf(object, 'Ready')?.status === 'True' && status?.observedGeneration === metadata.generation
  );
}

/**
 * Declares the tests of one file, which share a platform and run beside each other. Images need a file system view of their own:
 * where the machine does not permit that, the tests are skipped with its reason.
 */
export async function suite(
  name: string,
  concurrency: number,
  tests: (cluster: Cluster) => void,
): Promise<void> {
  const cluster = new Cluster();
  after(() => cluster.stop());
  await cluster.start();
  describe(name, { concurrency, skip: cluster.lacks('petrel.dev/Sandboxed') }, () => tests(cluster));
}

/** A port of this machine that nobody listens on: the containers of all Pods share one network. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
