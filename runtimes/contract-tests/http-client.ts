/** The platform's end towards an instance that takes requests as plain HTTP/1.1: with the surface of `MuxClient`, as far as both have it. */
import http from 'node:http';
import type { Answer, HeaderPair, RequestOptions } from './client.ts';

/** A request as the contract suite sees it, whatever carries it. */
export interface Call {
  readonly head: Promise<{ status: number; headers: HeaderPair[] }>;
  /** Rejects when the answer breaks off. */
  readonly done: Promise<Answer>;
  readonly chunks: Buffer[];
  /** Bytes of the answer's body that were taken so far. */
  readonly received: number;
  /** Whether the instance takes no more of the request's body for now. */
  stuck(): boolean;
  /** Takes the rest of an answer that was begun with `grant: false`. */
  takeAll(): void;
  /** Gives the request up. */
  reset(code: string): void;
}

export interface Caller {
  open(options?: RequestOptions): Call;
  request(options?: RequestOptions): Promise<Answer>;
  close(): void;
}

/** Where it listens. */
export type HttpTarget = { socketPath: string } | { host: string; port: number };

const pairs = (raw: string[]): HeaderPair[] => {
  const out: HeaderPair[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) out.push([raw[i]!.toLowerCase(), raw[i + 1]!]);
  return out;
};

export class HttpClient implements Caller {
  readonly #target: HttpTarget;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  readonly #open = new Set<http.ClientRequest>();
  #next = 0;

  constructor(target: HttpTarget) {
    this.#target = target;
  }

  open({ method = 'GET', target = '/', headers = [], body, grant = true }: RequestOptions = {}): Call {
    const id = ++this.#next;
    const all: HeaderPair[] = [
      ['host', 'fn.example.test'],
      ['x-request-id', `req-${id}`],
      ['x-forwarded-for', '192.0.2.7'],
      ...headers,
    ];
    if (typeof body === 'string' || body instanceof Uint8Array)
      all.push(['content-length', String(Buffer.byteLength(body))]);
    else if (body !== undefined) all.push(['transfer-encoding', 'chunked']);
    const head = Promise.withResolvers<{ status: number; headers: HeaderPair[] }>();
    const done = Promise.withResolvers<Answer>();
    head.promise.catch(() => {});
    done.promise.catch(() => {});
    const chunks: Buffer[] = [];
    let answer: http.IncomingMessage | undefined;
    let taken = 0;
    const request = http.request({
      ...this.#target,
      agent: this.#agent,
      method,
      path: target,
      headers: all.flat(),
      setDefaultHeaders: false,
    });
    this.#open.add(request);
    request.on('close', () => this.#open.delete(request));
    const fail = (error: Error) => {
      head.reject(error);
      done.reject(error);
    };
    request.on('error', fail);
    const take = (message: http.IncomingMessage) =>
      message.on('data', (chunk: Buffer) => {
        taken += chunk.length;
        chunks.push(chunk);
      });
    request.on('response', (message) => {
      answer = message;
      const status = message.statusCode ?? 0;
      const lines = pairs(message.rawHeaders);
      head.resolve({ status, headers: lines });
      message.on('error', fail);
      message.on('end', () =>
        done.resolve({
          status,
          headers: lines,
          body: Buffer.concat(chunks),
          trailers: pairs(message.rawTrailers),
          inline: false,
        }),
      );
      if (grant) take(message);
    });
    const send = async (pieces: AsyncIterable<Uint8Array>) => {
      for await (const chunk of pieces) request.write(chunk);
      request.end();
    };
    if (body === undefined) request.end();
    // Bytes, never text: Node would write the head in the text's encoding, and a head is latin1.
    else if (typeof body === 'string' || body instanceof Uint8Array) request.end(Buffer.from(body));
    else {
      request.flushHeaders();
      send(body).catch(fail);
    }
    return {
      head: head.promise,
      done: done.promise,
      chunks,
      get received() {
        return taken;
      },
      stuck: () => request.socket !== null && request.socket.writableLength > 0,
      takeAll() {
        if (answer !== undefined) take(answer);
      },
      reset: (code) => request.destroy(new Error(code)),
    };
  }

  request(options: RequestOptions = {}): Promise<Answer> {
    return this.open(options).done;
  }

  close(): void {
    for (const request of this.#open) request.destroy(new Error('the connection closed'));
    this.#agent.destroy();
  }
}
