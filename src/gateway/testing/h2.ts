/** An HTTP/2 client and small HTTP/2 and gRPC servers for tests. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { EndpointAddress } from '../contract.ts';
import { HOST } from './harness.ts';

export interface H2Response {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  trailers: IncomingHttpHeaders;
  /** The code of the reset, 0 for a clean end. */
  code: number;
}

export interface H2Client {
  session: ClientHttp2Session;
  request(headers?: OutgoingHttpHeaders, options?: { endStream?: boolean }): ClientHttp2Stream;
  /** Sends a whole request and reads the whole answer. */
  fetch(path: string, headers?: OutgoingHttpHeaders, body?: string | Buffer): Promise<H2Response>;
  close(): void;
}

/** Reads an answer to its end. */
export function answer(stream: ClientHttp2Stream): Promise<H2Response> {
  return new Promise((resolve) => {
    const out: H2Response = { status: 0, headers: {}, body: '', trailers: {}, code: 0 };
    const chunks: Buffer[] = [];
    stream.on('response', (headers) => {
      out.status = Number(headers[':status']);
      out.headers = headers;
    });
    stream.on('trailers', (headers) => {
      out.trailers = headers;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.on('close', () => {
      out.body = Buffer.concat(chunks).toString('latin1');
      out.code = stream.rstCode ?? 0;
      resolve(out);
    });
  });
}

export function h2Client(port: number): H2Client {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  const request: H2Client['request'] = (headers = {}, options = {}) => {
    const stream = session.request({ ':authority': HOST, ':path': '/', ...headers }, options);
    stream.on('error', () => {});
    return stream;
  };
  return {
    session,
    request,
    fetch: (path, headers = {}, body) => {
      const method = body === undefined ? 'GET' : 'POST';
      const stream = request(
        { ':method': method, ':path': path, ...headers },
        { endStream: body === undefined },
      );
      const answered = answer(stream);
      if (body !== undefined) stream.end(body);
      return answered;
    },
    close: () => session.destroy(),
  };
}

export interface H2Instance {
  address: EndpointAddress;
  port: number;
  server: Http2Server;
  sessions: Set<ServerHttp2Session>;
  close(): Promise<void>;
}

export async function startH2Instance(
  handler: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  options: Parameters<typeof createServer>[0] = {},
  port = 0,
): Promise<H2Instance> {
  const server = createServer(options);
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {});
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    handler(stream, headers);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const bound = (server.address() as AddressInfo).port;
  return {
    address: { kind: 'h2c', host: '127.0.0.1', port: bound },
    port: bound,
    server,
    sessions,
    close: async () => {
      for (const session of sessions) session.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** One gRPC message: not compressed, length, bytes. */
export function grpcFrame(message: string): Buffer {
  const out = Buffer.alloc(5 + Buffer.byteLength(message));
  out.writeUInt32BE(out.length - 5, 1);
  out.write(message, 5);
  return out;
}

/** Takes a gRPC stream apart into messages. */
export class GrpcReader {
  #buffer: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): string[] {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    const out: string[] = [];
    while (this.#buffer.length >= 5) {
      const end = 5 + this.#buffer.readUInt32BE(1);
      if (this.#buffer.length < end) break;
      out.push(this.#buffer.toString('utf8', 5, end));
      this.#buffer = this.#buffer.subarray(end);
    }
    return out;
  }
}

/** A gRPC service by method name: what it does with each message, and at the end of the requests. */
export function grpcHandler(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const method = String(headers[':path']).split('/').pop();
  const reader = new GrpcReader();
  const send = (message: string) => stream.write(grpcFrame(message));
  const finish = (status = 0, message = '') => {
    stream.once('wantTrailers', () =>
      stream.sendTrailers({
        'grpc-status': String(status),
        ...(message === '' ? {} : { 'grpc-message': message }),
      }),
    );
    stream.end();
  };
  const begin = () =>
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  if (method === 'Fail') {
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': '5',
        'grpc-message': 'no such thing',
      },
      { endStream: true },
    );
    return;
  }
  if (method === 'Hang') return;
  begin();
  const all: string[] = [];
  stream.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) {
      all.push(message);
      if (method === 'Chat') send(`re: ${message}`);
    }
  });
  stream.on('end', () => {
    if (stream.destroyed) return;
    if (method === 'Unary') send(`${all[0]} ${headers.te} ${headers['grpc-timeout'] ?? '-'}`);
    if (method === 'Collect') send(all.join('+'));
    if (method === 'Count') for (let i = 1; i <= Number(all[0]); i++) send(String(i));
    finish(method === 'Late' ? 9 : 0, method === 'Late' ? 'too%20late' : '');
  });
}
