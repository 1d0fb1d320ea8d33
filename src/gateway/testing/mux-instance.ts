/** A small instance of runtimes/PROTOCOL.md for tests: simple rather than fast, and able to misbehave on request. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FRAME, FRAME_HEADER, frame, INITIAL_WINDOW } from '../../base/mux/frames.ts';

/** One request as the instance sees it, and the ways to answer it. */
export class TestStream {
  readonly id: number;
  readonly method: string;
  readonly target: string;
  readonly head: string;
  readonly headers: Record<string, string>;
  readonly connection: TestConnection;
  body: Buffer = Buffer.alloc(0);
  /** Bytes received; grows also when `keep` is false. */
  received = 0;
  keep = true;
  /** Grant windows by itself. */
  grant = true;
  ended = false;
  trailers = '';
  reset: { code: string } | null = null;
  sendWindow = INITIAL_WINDOW;
  onData: (chunk: Buffer) => void = () => {};
  onEnd: () => void = () => {};
  onReset: (code: string) => void = () => {};
  onWindow: () => void = () => {};

  constructor(connection: TestConnection, id: number, head: string) {
    this.connection = connection;
    this.id = id;
    this.head = head;
    const lines = head.split('\r\n').filter((l) => l !== '');
    const [method = '', target = ''] = lines[0]!.split(' ');
    this.method = method;
    this.target = target;
    this.headers = Object.fromEntries(
      lines.slice(1).map((l) => [l.slice(0, l.indexOf(':')), l.slice(l.indexOf(':') + 2)]),
    );
  }

  #head(status: number, headers: Record<string, string>): Buffer {
    const block = Object.entries(headers)
      .map(([k, v]) => `${k}: ${v}\r\n`)
      .join('');
    const out = Buffer.alloc(6 + block.length);
    out.writeUInt16LE(status, 0);
    out.writeUInt32LE(block.length, 2);
    out.write(block, 6, 'latin1');
    return out;
  }

  /** A complete response. */
  respond(status: number, headers: Record<string, string>, body: string | Buffer = ''): void {
    this.connection.send(
      FRAME.response,
      this.id,
      Buffer.concat([this.#head(status, headers), Buffer.from(body as string)]),
    );
  }

  begin(status: number, headers: Record<string, string> = {}): void {
    this.connection.send(FRAME.responseBody, this.id, this.#head(status, headers));
  }

  data(chunk: string | Buffer): void {
    this.sendWindow -= chunk.length;
    this.connection.send(FRAME.data, this.id, Buffer.from(chunk as string));
  }

  end(trailers = ''): void {
    this.connection.send(FRAME.end, this.id, Buffer.from(trailers));
  }

  sendReset(code: string, message = ''): void {
    this.connection.send(FRAME.reset, this.id, Buffer.from(JSON.stringify({ code, message })));
  }

  give(bytes: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32LE(bytes);
    this.connection.send(FRAME.window, this.id, payload);
  }
}

export class TestConnection {
  readonly socket: Socket;
  readonly streams = new Map<number, TestStream>();
  readonly pongs: string[] = [];
  /** Answers no PING. */
  hung = false;
  readonly #handler: (stream: TestStream) => void;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(socket: Socket, handler: (stream: TestStream) => void, hello: string) {
    this.socket = socket;
    this.#handler = handler;
    if (hello !== '') this.send(FRAME.hello, 0, Buffer.from(hello));
    socket.on('data', (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#parse();
    });
    socket.on('error', () => {});
  }

  send(type: number, stream: number, payload: Buffer): void {
    if (!this.socket.destroyed) this.socket.write(frame(type, stream, payload));
  }

  #parse(): void {
    while (this.#buffer.length >= FRAME_HEADER) {
      const length = this.#buffer.readUInt32LE(0);
      if (this.#buffer.length < FRAME_HEADER + length) return;
      const type = this.#buffer[4]!;
      const id = this.#buffer.readUInt32LE(5);
      const payload = Buffer.from(this.#buffer.subarray(FRAME_HEADER, FRAME_HEADER + length));
      this.#buffer = this.#buffer.subarray(FRAME_HEADER + length);
      this.#frame(type, id, payload);
    }
  }

  #frame(type: number, id: number, payload: Buffer): void {
    if (type === FRAME.request || type === FRAME.requestBody) {
      const stream = new TestStream(this, id, payload.toString('latin1'));
      this.streams.set(id, stream);
      stream.ended = type === FRAME.request;
      this.#handler(stream);
      return;
    }
    if (type === FRAME.ping && !this.hung) this.send(FRAME.pong, 0, payload);
    if (type === FRAME.pong) this.pongs.push(payload.toString('latin1'));
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (type === FRAME.data) {
      stream.received += payload.length;
      if (stream.keep) stream.body = Buffer.concat([stream.body, payload]);
      stream.onData(payload);
      if (stream.grant) stream.give(payload.length);
    } else if (type === FRAME.end) {
      stream.ended = true;
      stream.trailers = payload.toString('latin1');
      stream.onEnd();
    } else if (type === FRAME.window) {
      stream.sendWindow += payload.readUInt32LE(0);
      stream.onWindow();
    } else if (type === FRAME.reset) {
      stream.reset = JSON.parse(payload.toString()) as { code: string };
      stream.onReset(stream.reset.code);
    }
  }
}

export interface MuxInstance {
  path: string;
  connections: TestConnection[];
  server: Server;
  close(): Promise<void>;
}

/** Listens on a socket in a directory of its own. `hello` `''` sends none. */
export async function startMuxInstance(
  handler: (stream: TestStream) => void,
  hello = '{"version":1,"runtime":"test","language":"1","pid":1,"state":"specialised"}',
): Promise<MuxInstance> {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-gw-'));
  const path = join(dir, 'i.sock');
  const connections: TestConnection[] = [];
  const server = createServer((socket) => {
    connections.push(new TestConnection(socket, handler, hello));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    connections,
    server,
    close: async () => {
      for (const c of connections) c.socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
