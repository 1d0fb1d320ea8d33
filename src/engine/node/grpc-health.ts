/** The gRPC health check of a probe. Source: grpc.health.v1, `Check`; HTTP/2 without TLS, as kubelet asks. */
import { connect, constants } from 'node:http2';
import type { ProbeResult } from './probes.ts';

const PATH = '/grpc.health.v1.Health/Check';
const STATES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const SERVING = 1;
/** Of a message: one byte for compression, four for the length. */
const PREFIX = 5;
/** A health answer is a few bytes; more is not read. */
const MAX_ANSWER = 4096;

/** `HealthCheckRequest{service}` with its prefix. Field 1, length-delimited. */
function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const length: number[] = [];
  for (let left = name.length; ; left >>>= 7) {
    length.push(left > 0x7f ? (left & 0x7f) | 0x80 : left);
    if (left <= 0x7f) break;
  }
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...length]), name]);
  const prefix = Buffer.alloc(PREFIX);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The status in a `HealthCheckResponse` with its prefix. Field 1, varint; absent is 0. */
function decodeStatus(answer: Buffer): number {
  const message = answer.subarray(PREFIX);
  return message[0] === 0x08 ? (message[1] ?? 0) : 0;
}

/** Never rejects. */
export function checkHealth(
  host: string,
  port: number,
  service: string,
  timeoutMs: number,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const session = connect(`http://${host.includes(':') ? `[${host}]` : host}:${port}`);
    const end = (ok: boolean, message: string) => {
      clearTimeout(deadline);
      session.destroy();
      resolve({ ok, message });
    };
    const deadline = setTimeout(
      () => end(false, `timeout: failed to connect service "${host}:${port}" within ${timeoutMs / 1000}s`),
      timeoutMs,
    );
    session.on('error', (error) => end(false, `error: ${error.message}`));
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: PATH,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'kube-probe/1.32',
    });
    let answer = Buffer.alloc(0);
    let status: string | undefined;
    const take = (headers: Record<string, unknown>) => {
      if (headers['grpc-status'] !== undefined) status = String(headers['grpc-status']);
    };
    stream.on('error', (error) => end(false, `error: ${error.message}`));
    stream.on('response', take);
    stream.on('trailers', take);
    stream.on('data', (chunk: Buffer) => {
      if (answer.length < MAX_ANSWER) answer = Buffer.concat([answer, chunk]);
    });
    stream.on('end', () => {
      if (status !== '0') return end(false, `error: health rpc failed with status ${status ?? 'unknown'}`);
      const state = decodeStatus(answer);
      end(
        state === SERVING,
        state === SERVING ? '' : `service unhealthy (responded with "${STATES[state] ?? state}")`,
      );
    });
    stream.end(encodeRequest(service));
  });
}
