/** What the tests of eventing share: one platform, objects of its API, receivers that stand for upstream's eventshub, and producers. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CloudEvent } from '../../../src/cloudevents/event.ts';
import { attribute } from '../../../src/cloudevents/event.ts';
import { fromHttp } from '../../../src/cloudevents/http.ts';
import { conditionOf } from '../../../src/kinds/conditions.ts';
import type { UntypedObject } from '../../../src/kinds/object.ts';
import type { KubeClient, ResourceRef } from '../../../src/kube/client.ts';
import { apiVersionOf, BROKERS, TRIGGERS } from '../../../src/kube/refs.ts';
import { type Answer, call, eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';

export const NAMESPACE = 'default';

/** Attributes as header values; `data` is the body. */
export interface Sent {
  id: string;
  type: string;
  source: string;
  data?: string;
  [attribute: string]: string | undefined;
}

/** One request that a receiver got. */
export interface Received {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
  /** Absent: it was no event. */
  event: CloudEvent | undefined;
  at: number;
  /** What it was answered. */
  status: number;
}

/** How a receiver answers. */
export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  body?: string;
  /** Milliseconds before it answers. */
  delayMs?: number;
}
export type Responder = (received: Omit<Received, 'status'>, index: number) => Reply | undefined;

/** An HTTP server that remembers what it got. */
export class Receiver {
  readonly received: Received[] = [];
  readonly #server: Server;
  #respond: Responder;

  private constructor(server: Server, respond: Responder) {
    this.#server = server;
    this.#respond = respond;
  }

  static async start(respond: Responder = () => undefined): Promise<Receiver> {
    const server = createServer();
    const receiver = new Receiver(server, respond);
    server.on('request', (request, response) => void receiver.#take(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  respond(how: Responder): void {
    this.#respond = how;
  }

  /** Ids of the events that it took, in the order in which they came. */
  get ids(): string[] {
    return this.accepted.map(({ event }) => event?.id ?? '');
  }

  /** What it answered with success. */
  get accepted(): Received[] {
    return this.received.filter(({ status }) => status >= 200 && status < 300);
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return; // The sender has gone.
    }
    const body = Buffer.concat(chunks);
    let event: CloudEvent | undefined;
    try {
      event = fromHttp(request.rawHeaders, body);
    } catch {
      event = undefined;
    }
    const { method = '', url: path = '', headers } = request;
    const seen = { method, path, headers, body: body.toString('utf8'), event, at: Date.now() };
    const reply = this.#respond(seen, this.received.length) ?? {};
    const status = reply.status ?? 202;
    this.received.push({ ...seen, status });
    if (reply.delayMs) await new Promise((resolve) => setTimeout(resolve, reply.delayMs));
    response.writeHead(status, reply.headers).end(reply.body);
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** Fails the first so many events with that status. */
export const dropFirst =
  (count: number, status = 500, body?: string): Responder =>
  (_, index) =>
    index < count ? { status, ...(body !== undefined && { body }) } : undefined;

/** Answers with an event. */
export const replyWith = (event: Partial<Sent> & { type: string }): Responder => {
  return (received) => {
    const answer: Partial<Sent> = { id: received.event?.id, source: '/reply', ...event };
    const { data = '', datacontenttype = 'application/json', ...attributes } = answer;
    return {
      status: 200,
      headers: {
        ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value ?? ''])),
        'ce-specversion': '1.0',
        'content-type': datacontenttype,
      },
      body: data,
    };
  };
};

export class EventWorld {
  readonly petrel: Petrel;
  readonly #scratch = new Scratch();
  readonly #receivers: Receiver[] = [];
  #platform: Status | undefined;
  #client: (KubeClient & { close(): void }) | undefined;
  #names = 0;

  constructor() {
    this.petrel = new Petrel(this.#scratch.path('h'));
  }

  async start(): Promise<void> {
    this.#platform = await this.petrel.up();
    this.#client = await this.petrel.api();
  }

  async stop(): Promise<void> {
    this.#client?.close();
    await Promise.all(this.#receivers.map((receiver) => receiver.close()));
    await this.petrel.stop();
    this.#scratch.dispose();
  }

  get client(): KubeClient {
    assert.ok(this.#client, 'the platform is up');
    return this.#client;
  }

  get gateway(): string {
    return this.#platform?.gateway ?? '';
  }

  /** A name that nothing else has. */
  name(prefix: string): string {
    return `${prefix}-${(++this.#names).toString(36)}`;
  }

  async receiver(respond?: Responder): Promise<Receiver> {
    const receiver = await Receiver.start(respond);
    this.#receivers.push(receiver);
    return receiver;
  }

  create(resource: ResourceRef, name: string, spec: object, metadata: object = {}): Promise<UntypedObject> {
    return this.client.create(resource, {
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata: { name, namespace: NAMESPACE, ...metadata },
      spec,
    } as UntypedObject);
  }

  /** A Broker that is ready, and its address. */
  async broker(spec: object = {}): Promise<[name: string, url: string]> {
    const name = this.name('broker');
    await this.create(BROKERS, name, spec);
    return [name, await this.address(BROKERS, name)];
  }

  /** A Trigger that is ready. */
  async trigger(broker: string, subscriber: object, spec: object = {}): Promise<string> {
    const name = this.name('trigger');
    await this.create(TRIGGERS, name, { broker, subscriber, ...spec });
    await this.ready(TRIGGERS, name);
    return name;
  }

  get(resource: ResourceRef, name: string): Promise<UntypedObject> {
    return this.client.get<UntypedObject>(resource, NAMESPACE, name);
  }

  patch(resource: ResourceRef, name: string, patch: object): Promise<UntypedObject> {
    return this.client.patch(resource, NAMESPACE, name, 'merge', patch as never);
  }

  remove(resource: ResourceRef, name: string): Promise<void> {
    return this.client.delete(resource, NAMESPACE, name);
  }

  /** Resolves with the object as soon as it is as wanted. */
  async until(
    resource: ResourceRef,
    name: string,
    what: string,
    is: (object: UntypedObject) => boolean,
  ): Promise<UntypedObject> {
    let last: UntypedObject | undefined;
    try {
      return await eventually(`${resource.kind} ${name} ${what}`, async () => {
        last = await this.get(resource, name);
        return is(last) && last;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${JSON.stringify(last?.status)}${this.petrel.log()}`);
    }
  }

  ready(resource: ResourceRef, name: string): Promise<UntypedObject> {
    return this.until(
      resource,
      name,
      'goes ready',
      (object) =>
        conditionOf(object, 'Ready')?.status === 'True' &&
        object.status.observedGeneration === object.metadata.generation,
    );
  }

  /** A ready object's address. */
  async address(resource: ResourceRef, name: string): Promise<string> {
    const { status } = await this.ready(resource, name);
    assert.match(status.address?.url ?? '', /^https?:/, `${resource.kind} ${name} is addressable`);
    return status.address.url;
  }

  /** A POST of an event in binary mode. */
  send(url: string, event: Partial<Sent>, headers: Record<string, string> = {}): Promise<Answer> {
    const { data = '', datacontenttype, ...attributes } = event;
    const all: Record<string, string> = { 'ce-specversion': '1.0' };
    for (const [name, value] of Object.entries(attributes))
      if (value !== undefined) all[`ce-${name}`] = value;
    if (datacontenttype !== undefined) all['content-type'] = datacontenttype;
    return this.request(url, { method: 'POST', headers: { ...all, ...headers }, body: data });
  }

  request(
    url: string,
    options: { method: string; headers?: Record<string, string>; body?: string },
  ): Promise<Answer> {
    const { host, pathname, search } = new URL(url);
    return call(host, pathname + search, options);
  }

  /** Sends, and is sure that it was accepted. */
  async produce(url: string, event: Sent): Promise<void> {
    const answer = await this.send(url, event);
    assert.ok(
      answer.status >= 200 && answer.status < 300,
      `${answer.status} ${answer.body}${this.petrel.log()}`,
    );
  }

  /** Resolves when a receiver has got what is wanted. */
  async got(receiver: Receiver, what: string, is: (receiver: Receiver) => boolean): Promise<void> {
    try {
      await eventually(what, async () => is(receiver));
    } catch (error) {
      const seen = receiver.received.map(
        ({ status, event, body }) => `${status} ${event?.id} ${body.slice(0, 80)}`,
      );
      throw new Error(`${(error as Error).message}\n${seen.join('\n')}${this.petrel.log()}`);
    }
  }

  /** Resolves when these events were taken, in any order, each at least once. */
  gotAll(receiver: Receiver, ids: readonly string[]): Promise<void> {
    return this.got(receiver, `events ${ids.join(', ')}`, ({ ids: have }) =>
      ids.every((id) => have.includes(id)),
    );
  }
}

/** Attributes of an event as text; what it does not have is absent. */
export function attributesOf(event: CloudEvent | undefined, ...names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = event && attribute(event, name);
      return value === undefined ? [] : [[name, String(value)]];
    }),
  );
}

/** Upstream's `cetest.FullEvent`. */
export const fullEvent = (id: string): Sent => ({
  id,
  type: 'com.example.FullEvent',
  source: 'http://example.com/source',
  subject: 'topic',
  time: '2020-03-21T12:34:56.78Z',
  dataschema: 'http://example.com/schema',
  datacontenttype: 'application/json',
  exbool: 'true',
  exint: '42',
  exstring: 'exstring',
  exbinary: 'AAECAw==',
  exurl: 'http://example.com/source',
  extime: '2020-03-21T12:34:56.78Z',
  data: '"hello"',
});

export const destination = (receiver: Receiver, path = ''): { uri: string } => ({ uri: receiver.url + path });
