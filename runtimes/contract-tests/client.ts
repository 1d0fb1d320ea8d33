/** The platform's end of the instance protocol for tests: strict about what the instance sends, free in what it sends itself. */
import { once } from 'node:events';
import net from 'node:net';

export const T = {
  HELLO: 1,
  REQUEST: 2,
  REQUEST_BODY: 3,
  RESPONSE: 4,
  RESPONSE_BODY: 5,
  DATA: 6,
  END: 7,
  RESET: 8,
  WINDOW: 9,
  PING: 10,
  PONG: 11,
  CALL: 12,
  RESULT: 13,
  EVENT: 14,
  GOAWAY: 15,
} as const;
export const WINDOW = 262144;
const MAX_PAYLOAD = 1048576;
const MAX_DATA = 65536;

export interface Frame {
  type: number;
  stream: number;
  payload: Buffer;
}

export function encode(type: number, stream: number, payload: Uint8Array | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const frame = Buffer.alloc(9 + body.length);
  frame.writeUInt32LE(body.length, 0);
  frame[4] = type;
  frame.writeUInt32LE(stream, 5);
  frame.set(body, 9);
  return frame;
}

/** A connection as bytes and frames, without any rule of its own. */
export class RawConnection {
  readonly socket: net.Socket;
  readonly closed: Promise<void>;
  onFrame: (frame: Frame) => void = () => {};
  #held: Buffer = Buffer.alloc(0);
  constructor(socket: net.Socket) {
    this.socket = socket;
    // Also where it closes with an error: an instance that ends at once may reset it.
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
      while (this.#held.length >= 9) {
        const length = this.#held.readUInt32LE(0);
        if (length > MAX_PAYLOAD) throw new Error(`the instance sent a frame of ${length} bytes`);
        if (this.#held.length < 9 + length) break;
        const payload = this.#held.subarray(9, 9 + length);
        const frame = { type: this.#held[4] as number, stream: this.#held.readUInt32LE(5), payload };
        this.#held = this.#held.subarray(9 + length);
        this.onFrame(frame);
      }
    });
  }
  static async open(path: string): Promise<RawConnection> {
    const socket = net.connect(path);
    await once(socket, 'connect');
    return new RawConnection(socket);
  }
  send(type: number, stream: number, payload: Uint8Array | string | object = ''): void {
    const body =
      typeof payload === 'string' || payload instanceof Uint8Array ? payload : JSON.stringify(payload);
    this.socket.write(encode(type, stream, body));
  }
}

export type HeaderPair = [string, string];

export interface Answer {
  status: number;
  headers: HeaderPair[];
  body: Buffer;
  trailers: HeaderPair[];
  /** Whether head and body came in one RESPONSE frame. */
  inline: boolean;
}

export interface RequestOptions {
  method?: string;
  target?: string;
  headers?: HeaderPair[];
  /** Absent: REQUEST. A string or bytes: REQUEST_BODY and DATA within the window. An iterable: sent as it comes. */
  body?: string | Uint8Array | AsyncIterable<Uint8Array>;
  trailers?: string;
  /** Grant window automatically as DATA comes. Default true. */
  grant?: boolean;
}

/** The instance reset the stream. */
export class ResetError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

/** A block of header lines; throws when one is malformed. */
export function parseBlock(text: string): HeaderPair[] {
  if (text === '') return [];
  if (!text.endsWith('\r\n')) throw new Error(`header block without a final CR LF: ${JSON.stringify(text)}`);
  return text
    .slice(0, -2)
    .split('\r\n')
    .map((line) => {
      const colon = line.indexOf(': ');
      if (colon < 1) throw new Error(`malformed header line ${JSON.stringify(line)}`);
      if (line.slice(0, colon) !== line.slice(0, colon).toLowerCase())
        throw new Error(`header name not in lower case: ${line}`);
      return [line.slice(0, colon), line.slice(colon + 2)];
    });
}

export function header(answer: { headers: HeaderPair[] }, name: string): string | undefined {
  return answer.headers.find(([key]) => key === name)?.[1];
}

/** One request as the gateway sees it. */
export class Stream {
  readonly id: number;
  /** Resolves with the head. */
  readonly head: Promise<{ status: number; headers: HeaderPair[] }>;
  /** Resolves at the end of the answer; rejects with `ResetError`, or when the connection closes. */
  readonly done: Promise<Answer>;
  /** Bytes of the answer's body so far. */
  received = 0;
  chunks: Buffer[] = [];
  onData: (chunk: Buffer) => void = () => {};
  sendWindow = WINDOW;
  #connection: MuxClient;
  #grant: boolean;
  #allowed = WINDOW;
  #unacknowledged = 0;
  #ended = false;
  #resolveHead!: (head: { status: number; headers: HeaderPair[] }) => void;
  #resolve!: (answer: Answer) => void;
  #reject!: (error: Error) => void;
  #head: { status: number; headers: HeaderPair[] } | undefined;
  #waiters: (() => void)[] = [];
  upgraded = false;

  constructor(connection: MuxClient, id: number, grant: boolean) {
    this.#connection = connection;
    this.id = id;
    this.#grant = grant;
    this.head = new Promise((resolve) => {
      this.#resolveHead = resolve;
    });
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => {});
  }

  get over(): boolean {
    return this.#ended;
  }

  frame({ type, payload }: Frame): void {
    if (this.#ended && type !== T.WINDOW) throw new Error(`frame ${type} after the end of stream ${this.id}`);
    if (type === T.RESPONSE || type === T.RESPONSE_BODY) {
      if (this.#head !== undefined) throw new Error('a second head');
      const size = payload.readUInt32LE(2);
      this.#head = {
        status: payload.readUInt16LE(0),
        headers: parseBlock(payload.toString('latin1', 6, 6 + size)),
      };
      this.upgraded = this.#head.status === 101;
      this.#resolveHead(this.#head);
      if (type === T.RESPONSE) this.#finish(payload.subarray(6 + size), true, []);
      else if (payload.length !== 6 + size) throw new Error('RESPONSE_BODY with bytes after its head');
    } else if (type === T.DATA) {
      if (this.#head === undefined) throw new Error('DATA before the head');
      if (payload.length > MAX_DATA && !this.upgraded) throw new Error(`DATA of ${payload.length} bytes`);
      this.received += payload.length;
      if (this.received > this.#allowed)
        throw new Error(`the instance sent past its window: ${this.received} > ${this.#allowed}`);
      this.chunks.push(Buffer.from(payload));
      this.onData(payload);
      this.#unacknowledged += payload.length;
      if (this.#grant && this.#unacknowledged >= 65536) {
        this.grant(this.#unacknowledged);
        this.#unacknowledged = 0;
      }
    } else if (type === T.END) {
      if (this.#head === undefined) throw new Error('END before the head');
      this.#finish(Buffer.concat(this.chunks), false, parseBlock(payload.toString('latin1')));
    } else if (type === T.RESET) {
      const { code, message } = JSON.parse(payload.toString());
      this.fail(new ResetError(code, message));
    } else if (type === T.WINDOW) {
      this.sendWindow += payload.readUInt32LE(0);
      for (const waiter of this.#waiters.splice(0)) waiter();
    } else throw new Error(`frame ${type} on a stream`);
  }

  #finish(body: Buffer, inline: boolean, trailers: HeaderPair[]): void {
    this.#ended = true;
    for (const waiter of this.#waiters.splice(0)) waiter();
    this.#resolve({ ...this.#head!, body, inline, trailers });
  }

  fail(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const waiter of this.#waiters.splice(0)) waiter();
    this.#reject(error);
  }

  /** Whether the instance takes no more of the request's body for now. */
  stuck(): boolean {
    return this.sendWindow === 0;
  }

  /** Takes the rest of an answer that was begun with `grant: false`. */
  takeAll(): void {
    this.onData = (chunk) => this.grant(chunk.length);
    this.grant(WINDOW);
  }

  grant(bytes: number): void {
    this.#allowed += bytes;
    const payload = Buffer.alloc(4);
    payload.writeUInt32LE(bytes);
    this.#connection.raw.send(T.WINDOW, this.id, payload);
  }

  /** Sends within the window; resolves when all is sent, or the stream is over. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#ended; ) {
      if (this.sendWindow === 0) {
        await new Promise<void>((resolve) => this.#waiters.push(resolve));
        continue;
      }
      const size = Math.min(this.sendWindow, MAX_DATA, bytes.length - at);
      this.sendWindow -= size;
      this.#connection.raw.send(T.DATA, this.id, bytes.subarray(at, at + size));
      at += size;
    }
  }

  end(trailers = ''): void {
    if (!this.#ended) this.#connection.raw.send(T.END, this.id, trailers);
  }

  reset(code: string, message = code): void {
    this.#ended = true;
    this.#connection.raw.send(T.RESET, this.id, { code, message });
  }
}

/** A data or control connection that has said HELLO. */
export class MuxClient {
  readonly raw: RawConnection;
  hello: Record<string, unknown> = {};
  readonly events: Record<string, unknown>[] = [];
  readonly streams = new Map<number, Stream>();
  /** Resolves at GOAWAY. */
  readonly goaway: Promise<void>;
  /** What the instance did against the rules. */
  violations: Error[] = [];
  #resolveGoaway!: () => void;
  #nextStream = 0;
  #nextCall = 0;
  #calls = new Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>();
  #hello: Promise<void>;

  private constructor(raw: RawConnection) {
    this.raw = raw;
    this.goaway = new Promise((resolve) => {
      this.#resolveGoaway = resolve;
    });
    let greeted: () => void;
    this.#hello = new Promise((resolve) => {
      greeted = resolve;
    });
    raw.onFrame = (frame) => {
      try {
        if (frame.type === T.HELLO) {
          this.hello = JSON.parse(frame.payload.toString());
          greeted();
        } else this.#frame(frame);
      } catch (error) {
        this.violations.push(error as Error);
        raw.socket.destroy();
      }
    };
    raw.closed.then(() => {
      for (const stream of this.streams.values()) stream.fail(new Error('the connection closed'));
      for (const call of this.#calls.values()) call.reject(new Error('the connection closed'));
    });
  }

  static async open(path: string, role: 'data' | 'control'): Promise<MuxClient> {
    const client = new MuxClient(await RawConnection.open(path));
    client.raw.send(T.HELLO, 0, { version: 1, role });
    const ended = client.raw.closed.then(() => {
      throw new Error('the connection closed before HELLO');
    });
    await Promise.race([client.#hello, ended]);
    return client;
  }

  #frame(frame: Frame): void {
    if (frame.type === T.GOAWAY) this.#resolveGoaway();
    else if (frame.type === T.EVENT) this.events.push(JSON.parse(frame.payload.toString()));
    else if (frame.type === T.RESULT) {
      const { id, result, error } = JSON.parse(frame.payload.toString());
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      if (error) call?.reject(error);
      else call?.resolve(result);
    } else if (frame.type !== T.PONG) {
      const stream = this.streams.get(frame.stream);
      if (stream === undefined) throw new Error(`frame ${frame.type} for unknown stream ${frame.stream}`);
      stream.frame(frame);
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: results are JSON of many forms, the tests say which
  call(method: string, params: object = {}): Promise<any> {
    const id = ++this.#nextCall;
    this.raw.send(T.CALL, 0, { id, method, params });
    return new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }));
  }

  /** Begins a request; its body is sent in the background. */
  open({
    method = 'GET',
    target = '/',
    headers = [],
    body,
    trailers,
    grant = true,
  }: RequestOptions = {}): Stream {
    const id = ++this.#nextStream;
    const stream = new Stream(this, id, grant);
    this.streams.set(id, stream);
    const all: HeaderPair[] = [
      ['host', 'fn.example.test'],
      ['x-request-id', `req-${id}`],
      ['x-forwarded-for', '192.0.2.7'],
      ...headers,
    ];
    if (typeof body === 'string' || body instanceof Uint8Array)
      all.push(['content-length', String(Buffer.byteLength(body))]);
    const head = `${method} ${target}\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join('')}`;
    this.raw.send(body === undefined ? T.REQUEST : T.REQUEST_BODY, id, Buffer.from(head, 'latin1'));
    if (body !== undefined) {
      const pump = async () => {
        if (typeof body === 'string') await stream.write(Buffer.from(body));
        else if (body instanceof Uint8Array) await stream.write(body);
        else for await (const chunk of body) await stream.write(chunk);
        stream.end(trailers);
      };
      pump().catch((error) => this.violations.push(error));
    }
    return stream;
  }

  request(options: RequestOptions = {}): Promise<Answer> {
    return this.open(options).done;
  }

  close(): void {
    this.raw.socket.destroy();
  }
}
