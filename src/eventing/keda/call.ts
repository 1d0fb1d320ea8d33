/** One call of gRPC from the server's side: a message comes, messages go, trailers say how it ended. */
import type { ServerHttp2Stream } from 'node:http2';
import { grpcMessage } from '../../base/grpc-message.ts';
import { GRPC, GrpcError } from './status.ts';

/** Largest message that is read, bytes; metadata is text that a person wrote. */
const MAX_MESSAGE = 16 * 1024;
/** In front of each message: whether it is compressed, and its length. */
const PREFIX = 5;
/** The question of a call must be there within this time, milliseconds. */
const QUESTION_MS = 10_000;
const HEAD = { ':status': 200, 'content-type': 'application/grpc' };

/** The one message that a client sends. Rejects with `GrpcError`, or with what ended the stream. */
export async function readMessage(stream: ServerHttp2Stream): Promise<Buffer> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new GrpcError(GRPC.deadlineExceeded, 'the message did not come')),
    QUESTION_MS,
  );
  const chunks: Buffer[] = [];
  let bytes = 0;
  const all = async () => {
    for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_MESSAGE + PREFIX)
        throw new GrpcError(GRPC.resourceExhausted, `a message may have ${MAX_MESSAGE} bytes`);
      chunks.push(chunk);
    }
  };
  const reading = all();
  reading.catch(() => {});
  await Promise.race([reading, late]).finally(() => clearTimeout(timer));
  const body = Buffer.concat(chunks);
  if (body.length < PREFIX) throw new GrpcError(GRPC.internal, 'there is no message');
  if (body[0] !== 0) throw new GrpcError(GRPC.unimplemented, 'compressed messages are not read');
  if (body.readUInt32BE(1) !== body.length - PREFIX)
    throw new GrpcError(GRPC.internal, 'the length is not that of one message');
  return body.subarray(PREFIX);
}

function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Begins the answer; `end` sends the trailers. */
function begin(stream: ServerHttp2Stream, status: () => GrpcError | undefined): void {
  stream.respond(HEAD, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailersOf(status())));
}

function trailersOf(error: GrpcError | undefined): Record<string, string> {
  if (error === undefined) return { 'grpc-status': String(GRPC.ok) };
  return { 'grpc-status': String(error.code), 'grpc-message': grpcMessage(error.message) };
}

/** The whole answer of a call that has one message. */
export function answer(stream: ServerHttp2Stream, message: Buffer): void {
  if (stream.closed || stream.destroyed) return;
  begin(stream, () => undefined);
  stream.end(framed(message));
}

/** The whole answer of a call that failed: its head is its trailers, too. */
export function refuse(stream: ServerHttp2Stream, error: GrpcError): void {
  if (stream.closed || stream.destroyed || stream.headersSent) return;
  stream.respond({ ...HEAD, ...trailersOf(error) }, { endStream: true });
  ignoreRest(stream);
}

/** What still comes of a question that is answered is thrown away, and for so long only. A reset at once could overtake the answer. */
export function ignoreRest(stream: ServerHttp2Stream): void {
  stream.resume();
  const timer = setTimeout(() => stream.close(), QUESTION_MS);
  stream.on('close', () => clearTimeout(timer));
}

/** An answer that goes on. */
export interface Pushed {
  /** Sends it as soon as the one before is away; of several in between only the newest is sent. */
  push(message: Buffer): void;
  end(error: GrpcError): void;
}

/** Begins an answer of many messages. One that nobody reads keeps one message in memory, and the newest. */
export function pushed(stream: ServerHttp2Stream): Pushed {
  let ended: GrpcError | undefined;
  let sending = false;
  let next: Buffer | undefined;
  begin(stream, () => ended);
  const send = () => {
    if (next === undefined || sending || ended !== undefined || stream.destroyed) return;
    const message = next;
    next = undefined;
    sending = true;
    stream.write(framed(message), () => {
      sending = false;
      send();
    });
  };
  return {
    push(message) {
      next = message;
      send();
    },
    end(error) {
      ended = error;
      if (!stream.destroyed) stream.end();
    },
  };
}
