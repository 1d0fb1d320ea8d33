/** A gateway with recorded events, and a client that sends exactly the bytes it is given. */
import { connect, type Socket } from 'node:net';
import { silentLogger } from '../../base/log.ts';
import type { Endpoint, EndpointAddress, RevisionEntry, RevisionStats } from '../contract.ts';
import { GatewayControl } from '../gateway.ts';
import type { GatewayLimits } from '../limits.ts';

export const KEY = 'default/hello-00001';
export const HOST = 'hello.default.localhost';

export interface Harness {
  gateway: GatewayControl;
  port: number;
  demands: { key: string; queued: number; inFlight: number }[];
  downs: { key: string; id: string; reason: string }[];
  stats: RevisionStats[][];
  /** Routes that were sent a token whose key they do not know, `<namespace>/<name>`. */
  missing: string[];
  /** Called with every demand. */
  onDemand: (key: string, queued: number) => void;
  /** Sets the revision of the route `default/hello`. */
  revision(change?: Partial<RevisionEntry>): void;
  endpoints(...endpoints: (string | { host: string; port: number } | EndpointAddress)[]): void;
}

export async function startHarness(
  options: { workers?: number; limits?: Partial<GatewayLimits>; zone?: string; secret?: string } = {},
): Promise<Harness> {
  const events = {
    demand: (key: string, queued: number, inFlight: number) => {
      harness.demands.push({ key, queued, inFlight });
      harness.onDemand(key, queued);
    },
    stats: (stats: RevisionStats[]) => {
      harness.stats.push(stats);
    },
    endpointDown: (key: string, id: string, reason: string) => {
      harness.downs.push({ key, id, reason });
    },
    keyMissing: (namespace: string, name: string) => {
      harness.missing.push(`${namespace}/${name}`);
    },
  };
  const { workers = 0, ...rest } = options;
  const gateway = new GatewayControl({ host: '127.0.0.1', port: 0, events, log: silentLogger, ...rest });
  await gateway.start(workers);
  const harness: Harness = {
    gateway,
    port: gateway.address.port,
    demands: [],
    downs: [],
    stats: [],
    missing: [],
    onDemand: () => {},
    revision: (change) => {
      gateway.setRevision(KEY, {
        key: KEY,
        containerConcurrency: 0,
        timeoutMs: 20_000,
        maxRequestBytes: 0,
        queueDepth: 100,
        ...change,
      });
    },
    endpoints: (...list) => {
      gateway.setEndpoints(
        KEY,
        list.map(
          (address, i): Endpoint =>
            typeof address === 'string'
              ? { id: `pod-${i}`, address: { kind: 'mux', path: address } }
              : { id: `pod-${i}`, address: 'kind' in address ? address : { kind: 'http1', ...address } },
        ),
      );
    },
  };
  harness.revision();
  gateway.setRoute('default', 'hello', {
    namespace: 'default',
    name: 'hello',
    hosts: [HOST],
    targets: [{ revision: KEY, percent: 100 }],
  });
  return harness;
}

export interface RawResponse {
  status: number;
  headers: Record<string, string>;
  body: string;
  trailers: string;
}

/** A connection that reads responses one by one, strictly enough to notice when one is cut. */
export class RawClient {
  readonly socket: Socket;
  text = '';
  closed = false;
  #wake: () => void = () => {};

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.setNoDelay(true);
    this.socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
      this.#wake();
    });
    const end = () => {
      this.closed = true;
      this.#wake();
    };
    this.socket.on('end', () => {
      end();
      this.socket.end();
    });
    this.socket.on('close', end);
    this.socket.on('error', () => {});
  }

  send(text: string | Buffer): this {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
    return this;
  }

  /** Waits until `test` gives something, or fails when the connection ends first. */
  async until<T>(test: () => T | undefined | null | false, orClosed = false): Promise<T> {
    for (;;) {
      const value = test();
      if (value) return value;
      if (this.closed) {
        if (orClosed) return undefined as T;
        throw new Error(`connection closed after: ${JSON.stringify(this.text.slice(0, 500))}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async head(): Promise<{ status: number; headers: Record<string, string> }> {
    const end = await this.until(() => this.text.indexOf('\r\n\r\n') + 1);
    const lines = this.text.slice(0, end - 1).split('\r\n');
    this.text = this.text.slice(end + 3);
    const headers = Object.fromEntries(
      lines
        .slice(1)
        .map((l) => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()]),
    );
    return { status: Number(lines[0]!.split(' ')[1]), headers };
  }

  async take(bytes: number): Promise<string> {
    await this.until(() => this.text.length >= bytes);
    const out = this.text.slice(0, bytes);
    this.text = this.text.slice(bytes);
    return out;
  }

  async line(): Promise<string> {
    const end = await this.until(() => this.text.indexOf('\r\n') + 1);
    const out = this.text.slice(0, end - 1);
    this.text = this.text.slice(end + 1);
    return out;
  }

  /** Reads one response; `head` for the answer to HEAD. Throws when it is cut. */
  async response(head = false): Promise<RawResponse> {
    const { status, headers } = await this.head();
    let body = '';
    let trailers = '';
    if (head || status === 204 || status === 304 || status < 200) return { status, headers, body, trailers };
    if (headers['transfer-encoding'] === 'chunked') {
      for (;;) {
        const size = Number.parseInt(await this.line(), 16);
        if (size === 0) break;
        body += await this.take(size);
        if ((await this.take(2)) !== '\r\n') throw new Error('bad chunk');
      }
      for (let line = await this.line(); line !== ''; line = await this.line()) trailers += `${line}\n`;
    } else if (headers['content-length'] !== undefined)
      body = await this.take(Number(headers['content-length']));
    else {
      await this.until(() => false, true);
      body = this.text;
      this.text = '';
    }
    return { status, headers, body, trailers };
  }

  async end(): Promise<void> {
    await this.until(() => false, true);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** A GET with a Host that is routed. */
export function get(path = '/', more = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n${more}\r\n`;
}

/** Waits until `test` holds; fails after ten seconds. */
export async function eventually(test: () => boolean, what = 'condition'): Promise<void> {
  const end = Date.now() + 10_000;
  while (!test()) {
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
