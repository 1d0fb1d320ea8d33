/** A client of KEDA's external scaler as KEDA itself is one: gRPC over HTTP/2, encoded by hand. */
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';

const field = (number: number, bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from([number * 8 + 2, ...varint(bytes.length)]), bytes]);
const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) + 128, ...varint(n >> 7)]);

/** `ScaledObjectRef`. */
export function scaledObject(metadata: Record<string, string>, namespace = 'default'): Buffer {
  const entries = Object.entries(metadata).map(([name, value]) =>
    field(3, Buffer.concat([field(1, Buffer.from(name)), field(2, Buffer.from(value))])),
  );
  return Buffer.concat([field(1, Buffer.from('app')), field(2, Buffer.from(namespace)), ...entries]);
}

/** `GetMetricsRequest`. */
export const metricsRequest = (metadata: Record<string, string>, metricName: string): Buffer =>
  Buffer.concat([field(1, scaledObject(metadata)), field(2, Buffer.from(metricName))]);

export function framed(message: Buffer, compressed = 0): Buffer {
  const prefix = Buffer.from([compressed, 0, 0, 0, 0]);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The messages in a body. */
export function unframed(body: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    if (end > body.length) break;
    messages.push(body.subarray(at + 5, end));
    at = end;
  }
  return messages;
}

/** Name, integer and double of the one metric in a `GetMetricSpecResponse` or `GetMetricsResponse`. */
export function metricIn(message: Buffer): { name: string; integer: number; double: number } {
  let at = message[1]! < 128 ? 2 : 3;
  const length = message[at + 1]!;
  const name = message.toString('utf8', at + 2, at + 2 + length);
  at += 2 + length + 1;
  let integer = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = message[at++]!;
    integer += (byte & 127) * scale;
    if (byte < 128) break;
  }
  return { name, integer, double: message.readDoubleLE(at + 1) };
}

export interface Called {
  http: number;
  status: string;
  message: string;
  messages: Buffer[];
}

export class KedaClient {
  readonly session: ClientHttp2Session;

  constructor(address: { host: string; port: number }) {
    this.session = connect(`http://${address.host}:${address.port}`);
    this.session.on('error', () => {});
  }

  open(method: string, body: Buffer, headers: Record<string, string> = {}) {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': `/externalscaler.ExternalScaler/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    const called = { http: 0, status: '', message: '', body: Buffer.alloc(0) };
    const note = (head: IncomingHttpHeaders) => {
      called.http = Number(head[':status'] ?? called.http);
      called.status = String(head['grpc-status'] ?? called.status);
      called.message = decodeURIComponent(String(head['grpc-message'] ?? called.message));
    };
    stream.on('response', note).on('trailers', note);
    stream.on('data', (chunk: Buffer) => {
      called.body = Buffer.concat([called.body, chunk]);
    });
    const done = new Promise<Called>((resolve, reject) => {
      stream.on('error', reject);
      stream.on('close', () =>
        resolve({
          http: called.http,
          status: called.status,
          message: called.message,
          messages: unframed(called.body),
        }),
      );
    });
    done.catch(() => {});
    stream.end(body);
    return { stream, done };
  }

  call(method: string, message: Buffer): Promise<Called> {
    return this.open(method, framed(message)).done;
  }

  /** What `StreamIsActive` says, in its order. `next` resolves with the next. */
  active(metadata: Record<string, string>) {
    const { stream, done } = this.open('StreamIsActive', framed(scaledObject(metadata)));
    const said: boolean[] = [];
    const waiters: ((active: boolean) => void)[] = [];
    let rest = Buffer.alloc(0);
    stream.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      for (const message of unframed(rest)) {
        rest = rest.subarray(5 + message.length);
        const active = message[1] === 1;
        const waiter = waiters.shift();
        if (waiter) waiter(active);
        else said.push(active);
      }
    });
    const next = (): Promise<boolean> =>
      said.length > 0 ? Promise.resolve(said.shift()!) : new Promise((resolve) => waiters.push(resolve));
    return { stream, done, next };
  }

  close(): void {
    this.session.destroy();
  }
}
