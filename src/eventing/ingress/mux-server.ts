/**
 * The instance's side of the multiplexed protocol's data role (runtimes/PROTOCOL.md), as a server of the platform speaks it with its gateway.
 * Bodies come whole, up to a limit that is known at the head; answers are written whole. Frames of one turn of the event loop leave in one write.
 */
import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '../../base/errors.ts';
import { Outgoing } from '../../base/io.ts';
import type { Logger } from '../../base/log.ts';
import { FrameReader, ProtocolError } from '../../base/mux/frame-reader.ts';
import { FRAME, FRAME_HEADER, frame, INITIAL_WINDOW, MAX_FRAME, putHeader } from '../../base/mux/frames.ts';
import { StreamTable } from '../../base/mux/stream-table.ts';

const HELLO = JSON.stringify({
  version: 1,
  runtime: 'events',
  language: '',
  pid: process.pid,
  state: 'specialised',
});
/** Grants are gathered up to this much: a quarter of the window. */
const GRANT = INITIAL_WINDOW / 4;
/** The two bytes of the status and the four of the block's length. */
const RESPONSE_HEAD = 6;

/** An answer, ready to be sent many times. */
export type Answer = Buffer;

/** `block`: header lines, each with its line end. Throws `RangeError` when it is longer than a frame can be. */
export function answer(status: number, block: string, body: Buffer | string = ''): Answer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const out = Buffer.allocUnsafe(RESPONSE_HEAD + block.length + bytes.length);
  if (out.length > MAX_FRAME) throw new RangeError('an answer longer than a frame');
  out.writeUInt16LE(status, 0);
  out.writeUInt32LE(block.length, 2);
  out.write(block, RESPONSE_HEAD, 'latin1');
  bytes.copy(out, RESPONSE_HEAD + block.length);
  return out;
}

/** Who answers requests. */
export interface MuxHandler {
  /**
   * The head of a request, as runtimes/PROTOCOL.md has it, is complete. Says how many bytes of a body may come and sets `request.context`,
   * or answers at once. Called before `complete`, also for a request without a body.
   */
  begin(request: MuxRequest, head: string): number;
  /** The body is complete. Undefined: there is none. It may be part of a larger buffer, which stays as it is. */
  complete(request: MuxRequest, body: Buffer | undefined): void;
  /** More of the body has come than was allowed: how much may come in all, or an answer. */
  more(request: MuxRequest): number;
  /** Nothing more is known of it: answered, or nobody waits for the answer. Called once for every request. */
  over(request: MuxRequest): void;
}

/** One request under way. */
export class MuxRequest {
  readonly id: number;
  /** What the handler keeps with it. */
  context: unknown = undefined;
  /** How much of a body may come, bytes. */
  limit = 0;
  received = 0;
  first: Buffer | undefined = undefined;
  /** What follows `first`. */
  more: Buffer[] | undefined = undefined;
  unacknowledged = 0;
  receiveWindow = INITIAL_WINDOW;
  over = false;
  readonly #peer: Peer;

  constructor(id: number, peer: Peer) {
    this.id = id;
    this.#peer = peer;
  }

  /** Sends the answer; without effect when nobody waits for it any more. */
  answer(ready: Answer): void {
    this.#peer.answer(this, ready);
  }
}

/** One connection of a gateway's worker. */
class Peer {
  readonly #server: MuxServer;
  readonly #socket: Socket;
  readonly #out: Outgoing;
  readonly #requests = new StreamTable<MuxRequest>();
  #greeted = false;
  #lastId = 0;
  #scheduled = false;
  #leaving = false;
  readonly #flush = () => {
    this.#scheduled = false;
    if (!this.#socket.destroyed) this.#out.flush();
  };

  constructor(server: MuxServer, socket: Socket) {
    this.#server = server;
    this.#socket = socket;
    this.#out = new Outgoing(socket);
    const reader = new FrameReader(
      (type, stream, buf, start, end) => this.#frame(type, stream, buf, start, end),
      (stream, buf, start, end) => this.#data(stream, buf, start, end),
    );
    socket.on('data', (chunk: Buffer) => {
      try {
        reader.feed(chunk, chunk.length);
      } catch (error) {
        const broken = error instanceof ProtocolError;
        server.log[broken ? 'warn' : 'error']('a connection of the gateway was cut off', {
          error: broken ? error.message : String((error as Error).stack ?? error),
        });
        socket.destroy();
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#closed());
    this.#control(FRAME.hello, 0, HELLO);
  }

  get busy(): boolean {
    return this.#requests.size > 0;
  }

  answer(request: MuxRequest, ready: Answer): void {
    if (request.over) return;
    const out = this.#out;
    out.reserve(FRAME_HEADER + ready.length);
    const at = putHeader(out.buffer, out.end, ready.length, FRAME.response, request.id);
    out.buffer.set(ready, at);
    out.commit(at + ready.length);
    this.#schedule();
    this.#forget(request);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  #control(type: number, stream: number, payload: Buffer | string): void {
    this.#out.attach(frame(type, stream, payload));
    this.#schedule();
  }

  #forget(request: MuxRequest): void {
    request.over = true;
    request.first = request.more = undefined;
    this.#requests.delete(request.id);
    this.#server.handler.over(request);
    if (this.#leaving && !this.busy) this.#end();
  }

  #frame(type: number, stream: number, buf: Buffer, start: number, end: number): void {
    if (!this.#greeted) {
      if (type !== FRAME.hello) throw new ProtocolError('the first frame is not HELLO');
      this.#greeted = true;
      return;
    }
    switch (type) {
      case FRAME.request:
        this.#begin(stream, buf, start, end, false);
        break;
      case FRAME.requestBody:
        this.#begin(stream, buf, start, end, true);
        break;
      case FRAME.end: {
        const request = this.#open(stream);
        if (request !== undefined) this.#complete(request);
        break;
      }
      case FRAME.reset: {
        const request = this.#open(stream);
        if (request !== undefined) this.#forget(request);
        break;
      }
      case FRAME.ping:
        this.#control(FRAME.pong, 0, Buffer.from(buf.subarray(start, end)));
        break;
      case FRAME.window:
      case FRAME.pong:
        break;
      default:
        if (type <= FRAME.goaway) throw new ProtocolError(`frame type ${type} is not for this side`);
    }
  }

  /** The request, or undefined for one that is over here and not yet there. */
  #open(stream: number): MuxRequest | undefined {
    if (stream === 0 || stream > this.#lastId) throw new ProtocolError(`stream ${stream} was never opened`);
    return this.#requests.get(stream);
  }

  #begin(stream: number, buf: Buffer, start: number, end: number, body: boolean): void {
    if (stream <= this.#lastId) throw new ProtocolError(`stream ${stream} was opened before`);
    this.#lastId = stream;
    const request = new MuxRequest(stream, this);
    this.#requests.set(stream, request);
    request.limit = this.#server.handler.begin(request, buf.toString('latin1', start, end));
    if (!body && !request.over) this.#complete(request);
  }

  #data(stream: number, buf: Buffer, start: number, end: number): void {
    const request = this.#open(stream);
    if (request === undefined) return;
    const bytes = end - start;
    request.receiveWindow -= bytes;
    if (request.receiveWindow < 0) throw new ProtocolError('DATA past the window');
    request.received += bytes;
    if (request.received > request.limit) {
      request.limit = this.#server.handler.more(request);
      if (request.over) return;
    }
    const piece = buf.subarray(start, end);
    if (request.first === undefined) request.first = piece;
    else if (request.more === undefined) request.more = [piece];
    else request.more.push(piece);
    request.unacknowledged += bytes;
    if (request.unacknowledged >= GRANT) {
      const payload = Buffer.allocUnsafe(4);
      payload.writeUInt32LE(request.unacknowledged);
      request.receiveWindow += request.unacknowledged;
      request.unacknowledged = 0;
      this.#control(FRAME.window, stream, payload);
    }
  }

  #complete(request: MuxRequest): void {
    const { first, more } = request;
    request.first = request.more = undefined;
    const body = more === undefined ? first : Buffer.concat([first!, ...more], request.received);
    this.#server.handler.complete(request, body);
  }

  /** No new requests; ends when those under way are answered. */
  leave(): void {
    this.#leaving = true;
    this.#control(FRAME.goaway, 0, '');
    if (!this.busy) this.#end();
  }

  #end(): void {
    this.#flush();
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #closed(): void {
    for (const request of this.#requests.values()) this.#forget(request);
    this.#server.gone(this);
  }
}

/** Listens on a unix socket for the gateway's workers. */
export class MuxServer {
  readonly handler: MuxHandler;
  readonly log: Logger;
  readonly #peers = new Set<Peer>();
  readonly #server: Server;
  #emptied = () => {};

  constructor(handler: MuxHandler, log: Logger) {
    this.handler = handler;
    this.log = log;
    this.#server = createServer((socket) => {
      this.#peers.add(new Peer(this, socket));
    });
  }

  /** Rejects when the path cannot be had. A socket file left by a thread or a platform that is dead is replaced. */
  async listen(path: string): Promise<void> {
    await rm(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.log.error('listener', { error: messageOf(error) }));
        resolve();
      });
    });
    await chmod(path, 0o600);
  }

  gone(peer: Peer): void {
    this.#peers.delete(peer);
    if (this.#peers.size === 0) this.#emptied();
  }

  /** Takes no new requests, lets those under way end for up to `graceMs`, then cuts off. */
  async close(graceMs: number): Promise<void> {
    this.#server.close();
    if (this.#peers.size > 0) {
      const emptied = new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
      for (const peer of this.#peers) peer.leave();
      const timer = setTimeout(this.#emptied, graceMs);
      await emptied;
      clearTimeout(timer);
    }
    for (const peer of this.#peers) peer.destroy();
  }
}
