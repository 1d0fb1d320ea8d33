/**
 * One client connection that speaks HTTP/2. Framing, header compression and flow control are Node's; here stand the
 * bounds on what a stranger may do with them, and how the connection ends: announced, so that no request is lost.
 */
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Timed } from '../../base/deadlines.ts';
import { HeadReader } from '../head-reader.ts';
import type { IntakePlane } from '../intake.ts';
import type { GatewayLimits } from '../limits.ts';
import type { Surroundings } from '../plane-types.ts';
import { clientAddress } from '../request-block.ts';
import { ClientStream } from './client-stream.ts';
import { CODE, closeStream, LAST_POSSIBLE_ID, performServerHandshake } from './http2.ts';

/** What a session needs of its worker. */
export interface SessionPlane extends Surroundings, IntakePlane {
  readonly limits: GatewayLimits;
  readonly closing: boolean;
  sync(): void;
  gone(client: ClientSession): void;
}

/** PING and SETTINGS frames that are no flood, however long they go on. */
const IDLE_FRAMES_PER_SECOND = 10;
/** How long a client may take to close its side, milliseconds. */
const LINGER_MS = 1000;

export class ClientSession implements Timed {
  deadline: number;
  readonly plane: SessionPlane;
  readonly reader: HeadReader;
  readonly #session: ServerHttp2Session;
  readonly #socket: Socket;
  readonly #streams = new Set<ClientStream>();
  /** Answered streams whose bytes a slow client has not taken. */
  readonly #slow = new Set<ClientStream>();
  /** PING and SETTINGS frames since something was last answered, less what time forgives. */
  #idleFrames = 0;
  #idleFrameAt = 0;
  #leaving = false;

  /** `first` are the bytes read already, from the preface on. */
  constructor(socket: Socket, first: Buffer, plane: SessionPlane) {
    const { limits } = plane;
    this.plane = plane;
    this.#socket = socket;
    this.reader = new HeadReader(plane, clientAddress(socket.remoteAddress));
    this.deadline = performance.now() + limits.headTimeoutMs;
    socket.pause();
    socket.unshift(first);
    socket.on('end', () => socket.destroy());
    const session = performServerHandshake(socket, {
      settings: {
        maxConcurrentStreams: limits.maxStreams,
        maxHeaderListSize: limits.maxHeadBytes,
        initialWindowSize: limits.streamWindowBytes,
      },
      maxHeaderListPairs: limits.maxHeaders,
      maxSettings: 32,
      maxSessionMemory: limits.maxSessionMiB,
      maxSessionInvalidFrames: 100,
      maxSessionRejectedStreams: limits.maxStreams,
      streamResetBurst: limits.resetBurst,
      streamResetRate: limits.resetsPerSecond,
      maxSendHeaderBlockLength: 128 * 1024,
      strictSingleValueFields: false,
    });
    this.#session = session;
    session.on('stream', (stream, _headers, flags, raw: unknown) =>
      this.#request(stream as ServerHttp2Stream, flags, raw as string[]),
    );
    session.on('ping', () => this.#idleFrame());
    session.on('remoteSettings', () => this.#idleFrame());
    session.on('error', () => {});
    session.on('close', () => this.#closed());
    plane.deadlines.add(this);
  }

  #request(stream: ServerHttp2Stream, flags: number, raw: string[]): void {
    stream.on('error', () => {});
    if (stream.closed || stream.destroyed) return; // reset before it could be looked at
    if (this.#slow.size > 0 && this.#unsent() > this.plane.limits.maxUnsentBytes) {
      closeStream(stream, CODE.refused);
      return;
    }
    if (!this.#leaving) this.deadline = Number.POSITIVE_INFINITY;
    const request = new ClientStream(stream, this);
    this.#streams.add(request);
    try {
      this.plane.sync();
      request.open(flags, raw);
    } catch (error) {
      this.plane.log.error('http2 stream', { error: String((error as Error).stack ?? error) });
      closeStream(stream, CODE.internal);
    }
  }

  /** Bytes of answers that the client has not taken. */
  #unsent(): number {
    let sum = 0;
    for (const stream of this.#slow) sum += stream.unsent;
    return sum;
  }

  /**
   * A frame that asks for work and brings no request: bounded by what is sent in between, because gRPC clients measure the
   * line with a PING for what they receive, and by time, because they ask now and then whether the connection lives.
   */
  #idleFrame(): void {
    const now = performance.now();
    const forgiven = ((now - this.#idleFrameAt) / 1000) * IDLE_FRAMES_PER_SECOND;
    this.#idleFrameAt = now;
    this.#idleFrames = Math.max(0, this.#idleFrames - forgiven) + 1;
    if (this.#idleFrames <= this.plane.limits.maxIdleFrames || this.#session.destroyed) return;
    this.#session.goaway(CODE.calm);
    this.#session.destroy();
  }

  /** Something of an answer leaves. */
  answered(): void {
    this.#idleFrames = 0;
  }

  /** The whole answer was given; `left` bytes of it still wait for the client. */
  lingers(stream: ClientStream): void {
    if (stream.unsent > 0) this.#slow.add(stream);
  }

  gone(stream: ClientStream): void {
    this.#slow.delete(stream);
    if (!this.#streams.delete(stream) || this.#streams.size > 0) return;
    if (this.#leaving) {
      this.#leave();
      return;
    }
    this.#setDeadline(this.plane.limits.keepAliveMs);
  }

  #setDeadline(ms: number): void {
    this.deadline = performance.now() + ms;
    this.plane.deadlines.arm(this.deadline);
  }

  /** Nothing was asked for too long, or the client does not close. */
  expire(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.#leaving) this.#socket.destroy();
    else this.drain();
  }

  /**
   * Ends the connection without losing a request. While streams are open, an announcement goes first that refuses
   * nothing, and the client has until its PING to see it. Then comes the last stream that was looked at: what the
   * client has sent after it, it may send again elsewhere (RFC 9113 §6.8).
   */
  drain(): void {
    const session = this.#session;
    if (this.#leaving || session.destroyed) return;
    this.#leaving = true;
    if (this.#streams.size === 0) {
      this.#leave();
      return;
    }
    session.goaway(CODE.noError, LAST_POSSIBLE_ID);
    if (!session.ping(() => this.#leave())) this.#leave();
  }

  /** No further stream; the connection ends with the last open one, or when the client has closed. */
  #leave(): void {
    const session = this.#session;
    if (!session.closed && !session.destroyed) session.close();
    if (this.#streams.size === 0) this.#setDeadline(LINGER_MS);
  }

  /** Cuts everything off. */
  destroy(): void {
    this.#session.destroy();
    this.#socket.destroy();
  }

  #closed(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    this.plane.deadlines.delete(this);
    this.#socket.destroySoon();
    this.plane.gone(this);
  }
}
