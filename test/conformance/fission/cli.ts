/**
 * The requests that Fission's CLI makes for its commands, in their order: a client-go program with typed structs (empty ones are sent,
 * lists without items are null) that reads, changes and writes back whole objects.
 */
import assert from 'node:assert/strict';
import { httpsTransport } from '../../../src/kube/https.ts';
import { loadKubeconfig } from '../../../src/kube/kubeconfig.ts';
import type { KubeTransport } from '../../../src/kube/transport.ts';
import { type Answer, call, eventually, type Petrel, type Status } from '../../lib/platform.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers of every kind are looked into
export type Json = any;

export interface Reply {
  code: number;
  body: Json;
}

const NS = 'default';
const path = (plural: string, name?: string, namespace: string | undefined = NS): string =>
  `/apis/fission.io/v1${namespace ? `/namespaces/${namespace}` : ''}/${plural}${name ? `/${name}` : ''}`;

/** Fields that Go's structs always send. */
const STRUCTS: Record<string, Json> = {
  Function: { secrets: null, configmaps: null, resources: {}, package: { packageref: { namespace: '' } } },
  Environment: {
    runtime: { image: '' },
    builder: {},
    resources: {},
    keeparchive: false,
    imagepullsecret: '',
  },
  Package: { environment: { namespace: '' }, source: { checksum: {} }, deployment: { checksum: {} } },
  HTTPTrigger: {
    host: '',
    method: '',
    createingress: false,
    ingressconfig: { annotations: null, path: '', host: '', tls: '' },
  },
  TimeTrigger: {},
  KubernetesWatchTrigger: { labelselector: {} },
  MessageQueueTrigger: { errorTopic: '', maxRetries: 0, contentType: '', metadata: null },
  CanaryConfig: {},
  FunctionAlias: {},
};

const merged = (base: Json, over: Json): Json => {
  if (typeof over !== 'object' || over === null || Array.isArray(over)) return over;
  const result = { ...base };
  for (const [key, value] of Object.entries(over)) result[key] = merged(base?.[key], value);
  return result;
};

export class FissionCli {
  readonly #transport: KubeTransport;
  readonly #status: Status;
  /** `METHOD path` of every request, oldest first. */
  readonly requests: string[] = [];

  private constructor(transport: KubeTransport, status: Status) {
    this.#transport = transport;
    this.#status = status;
  }
  static async open(petrel: Petrel, status: Status): Promise<FissionCli> {
    const config = await loadKubeconfig(status.kubeconfig);
    assert.ok(petrel.home);
    return new FissionCli(httpsTransport(config), status);
  }
  close(): void {
    this.#transport.close();
  }

  async request(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH',
    url: string,
    body?: unknown,
  ): Promise<Reply> {
    this.requests.push(`${method} ${url}`);
    const response = await this.#transport.request({
      method,
      path: url,
      headers: { accept: 'application/json, */*', ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const parts: Uint8Array[] = [];
    for await (const part of response.body) parts.push(part);
    const text = Buffer.concat(parts).toString();
    const json = response.headers['content-type']?.includes('json');
    return { code: response.status, body: json ? JSON.parse(text) : text };
  }
  get = (plural: string, name: string) => this.request('GET', path(plural, name));
  list = (plural: string, namespace: string | undefined = NS) =>
    this.request('GET', path(plural, undefined, namespace));
  listAll = (plural: string) => this.request('GET', path(plural, undefined, ''));
  delete = (plural: string, name: string) => this.request('DELETE', path(plural, name));

  /** Creates an object as a typed client does; must succeed. */
  async create(kind: string, plural: string, name: string, spec: Json, metadata: Json = {}): Promise<Json> {
    const object = {
      kind,
      apiVersion: 'fission.io/v1',
      metadata: { name, namespace: NS, creationTimestamp: null, ...metadata },
      spec: merged(STRUCTS[kind] ?? {}, spec),
      status: kind === 'Package' ? { buildstatus: 'succeeded', lastUpdateTimestamp: null } : {},
    };
    const { code, body } = await this.request('POST', path(plural), object);
    assert.equal(code, 201, JSON.stringify(body));
    return body;
  }
  /** Reads, changes, writes back, again on a conflict: `retry.RetryOnConflict`. */
  async update(plural: string, name: string, change: (object: Json) => void): Promise<Json> {
    for (;;) {
      const { code, body } = await this.get(plural, name);
      assert.equal(code, 200, JSON.stringify(body));
      change(body);
      const written = await this.request('PUT', path(plural, name), body);
      if (written.code === 409 && written.body.reason === 'Conflict') continue;
      assert.equal(written.code, 200, JSON.stringify(written.body));
      return written.body;
    }
  }
  async absent(plural: string, name: string): Promise<void> {
    const { code, body } = await this.get(plural, name);
    assert.equal(code, 404);
    assert.equal(body.reason, 'NotFound');
  }

  /** `env create` */
  async envCreate(name: string, image: string, more: Json = {}): Promise<Json> {
    assert.equal((await this.list('environments')).code, 200);
    return this.create('Environment', 'environments', name, {
      version: 3,
      runtime: { image },
      poolsize: 3,
      allowedFunctionsPerContainer: 'single',
      terminationGracePeriod: 90,
      ...more,
    });
  }
  async pkgCreate(name: string, env: string, spec: Json): Promise<Json> {
    return this.create('Package', 'packages', name, { environment: { name: env, namespace: NS }, ...spec });
  }
  /** `fn create --env … --code …` */
  async fnCreate(name: string, env: string, code: string, more: Json = {}): Promise<Json> {
    await this.absent('functions', name);
    assert.equal((await this.get('environments', env)).code, 200);
    const pkg = await this.pkgCreate(`${name}-pkg`, env, { deployment: literal(code) });
    return this.fnOf(name, env, pkg, more);
  }
  /** The Function that `fn create` writes for a package. */
  fnOf(name: string, env: string, pkg: Json, more: Json = {}): Promise<Json> {
    const { namespace, resourceVersion, name: pkgName } = pkg.metadata;
    return this.create('Function', 'functions', name, {
      environment: { name: env, namespace: NS },
      package: { packageref: { namespace, name: pkgName, resourceversion: resourceVersion } },
      InvokeStrategy: strategy('poolmgr'),
      functionTimeout: 60,
      idletimeout: 120,
      concurrency: 500,
      requestsPerPod: 1,
      ...more,
    });
  }
  /** `route create`, by name of the function or by weights. */
  async routeCreate(name: string, spec: Json): Promise<Json> {
    await this.absent('httptriggers', name);
    if (spec.functionref.type === 'name')
      assert.equal((await this.get('functions', spec.functionref.name)).code, 200);
    const all = await this.listAll('httptriggers');
    for (const other of all.body.items)
      assert.notEqual(other.spec.relativeurl || '-', spec.relativeurl, 'duplicate');
    return this.create('HTTPTrigger', 'httptriggers', name, { relativeurl: '', ...spec });
  }

  /** `… wait --for=condition=<type>`: polls the object. */
  wait(plural: string, name: string, type: string, status = 'True'): Promise<Json> {
    return eventually(`${plural}/${name} ${type}=${status}`, async () => {
      const { body } = await this.get(plural, name);
      const condition = body.status?.conditions?.find((c: Json) => c.type === type);
      if (condition?.status === status && condition.observedGeneration === body.metadata.generation)
        return body;
      if (condition) throw new Error(JSON.stringify(condition));
      return undefined;
    });
  }
  /** `fn test`: the router's internal route; the namespace `default` has no segment of its own. */
  async fnTest(
    name: string,
    options: { subpath?: string; method?: string; body?: string; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const plain = name.split(':')[0] ?? '';
    assert.equal((await this.get('functions', plain)).code, 200);
    return call(this.#status.gateway, `/fission-function/${name}${options.subpath ?? ''}`, options);
  }
  /** A client's request to the router. */
  visit(url: string, options: Parameters<typeof call>[2] = {}): Promise<Answer> {
    return call(this.#status.gateway, url, options);
  }
}

export const literal = (code: string) => ({ type: 'literal', literal: Buffer.from(code).toString('base64') });

export const strategy = (ExecutorType: string, MinScale = 0, MaxScale = 0) => ({
  ExecutionStrategy: { ExecutorType, MinScale, MaxScale, TargetCPUPercent: 0, SpecializationTimeout: 120 },
  StrategyType: 'execution',
});
