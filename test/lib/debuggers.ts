/** What editors say to debuggers, as little of it as stops a function at a place and lets it go on. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

const LOOPBACK = '127.0.0.1';

/** Reads a stream in pieces of the protocol's own measure. */
class Reader {
  #data = Buffer.alloc(0);
  #waiting: (() => void)[] = [];
  #over = false;

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#data = Buffer.concat([this.#data, chunk]);
      for (const wake of this.#waiting.splice(0)) wake();
    });
    socket.on('close', () => {
      this.#over = true;
      for (const wake of this.#waiting.splice(0)) wake();
    });
    socket.on('error', () => {});
  }

  async #until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#over) throw new Error('the debugger has closed the connection');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
  bytes(count: number): Promise<Buffer> {
    return this.#until(() => {
      if (this.#data.length < count) return undefined;
      const taken = this.#data.subarray(0, count);
      this.#data = this.#data.subarray(count);
      return taken;
    });
  }
  /** Up to a byte, which is left out. */
  upTo(byte: number): Promise<string> {
    return this.#until(() => {
      const at = this.#data.indexOf(byte);
      if (at === -1) return undefined;
      const taken = this.#data.toString('utf8', 0, at);
      this.#data = this.#data.subarray(at + 1);
      return taken;
    });
  }
}

async function open(port: number): Promise<{ socket: Socket; reader: Reader }> {
  const socket = connect(port, LOOPBACK);
  const reader = new Reader(socket);
  await once(socket, 'connect');
  return { socket, reader };
}

/** Delve's JSON-RPC. Stops `call` at a line and resolves with the value of a local variable there. */
export async function stopInGo(
  port: number,
  place: { file: string; line: number; variable: string },
  call: () => Promise<unknown>,
): Promise<string | undefined> {
  const { socket, reader } = await open(port);
  const answers = new Map<number, (value: DelveAnswer) => void>();
  const read = async () => {
    for (;;) {
      const line = (await reader.upTo(10)).trim();
      if (line === '') continue;
      const answer = JSON.parse(line) as DelveAnswer;
      answers.get(answer.id)?.(answer);
    }
  };
  read().catch(() => {});
  let id = 0;
  const rpc = (method: string, params: object) =>
    new Promise<DelveAnswer>((resolve) => {
      answers.set(++id, resolve);
      socket.write(`${JSON.stringify({ method: `RPCServer.${method}`, params: [params], id })}\n`);
    });
  await rpc('Command', { name: 'halt' });
  const { file, line, variable } = place;
  const set = await rpc('CreateBreakpoint', { Breakpoint: { file, line } });
  if (set.error) throw new Error(JSON.stringify(set.error));
  const stopped = rpc('Command', { name: 'continue' });
  const answered = call();
  await stopped;
  const locals = await rpc('ListLocalVars', {
    Scope: { GoroutineID: -1, Frame: 0 },
    Cfg: { MaxStringLen: 64 },
  });
  const value = locals.result?.Variables?.find(({ name }) => name === variable)?.value;
  await rpc('ClearBreakpoint', { Id: set.result?.Breakpoint?.id });
  void rpc('Command', { name: 'continue' });
  await answered;
  socket.destroy();
  return value;
}

interface DelveAnswer {
  id: number;
  error?: unknown;
  result?: { Breakpoint?: { id: number }; Variables?: { name: string; value: string }[] };
}

/** JDWP. Stops `call` at the beginning of a method and resolves with how many threads there are. */
export async function stopInJava(
  port: number,
  place: { type: string; method: string },
  call: () => Promise<unknown>,
): Promise<number> {
  const { socket, reader } = await open(port);
  socket.write('JDWP-Handshake');
  if (String(await reader.bytes(14)) !== 'JDWP-Handshake') throw new Error('no JDWP');
  const events: Buffer[] = [];
  let told = () => {};
  const replies = new Map<number, (body: Buffer) => void>();
  const read = async () => {
    for (;;) {
      const head = await reader.bytes(11);
      const body = await reader.bytes(head.readUInt32BE(0) - 11);
      if ((head[8] ?? 0) & 0x80) replies.get(head.readUInt32BE(4))?.(body);
      else {
        events.push(body);
        told();
      }
    }
  };
  read().catch(() => {});
  let id = 0;
  const command = (set: number, number: number, ...parts: Buffer[]) =>
    new Promise<Buffer>((resolve) => {
      const body = Buffer.concat(parts);
      const head = Buffer.alloc(11);
      head.writeUInt32BE(11 + body.length, 0);
      head.writeUInt32BE(++id, 4);
      head[9] = set;
      head[10] = number;
      replies.set(id, resolve);
      socket.write(Buffer.concat([head, body]));
    });
  const int = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const sizes = await command(1, 7);
  const [methodSize, typeSize] = [sizes.readUInt32BE(4), sizes.readUInt32BE(12)];
  const classes = await command(1, 2, int(place.type.length), Buffer.from(place.type));
  const type = classes.subarray(5, 5 + typeSize);
  const methods = await command(2, 5, type);
  let method: Buffer | undefined;
  for (let i = 0, at = 4; i < methods.readUInt32BE(0); i++) {
    const found = methods.subarray(at, at + methodSize);
    at += methodSize;
    const name = methods.toString('utf8', at + 4, at + 4 + methods.readUInt32BE(at));
    at += 4 + methods.readUInt32BE(at);
    at += 4 + methods.readUInt32BE(at) + 4;
    if (name === place.method) method = found;
  }
  if (method === undefined) throw new Error(`${place.type} has no method ${place.method}`);
  // Breakpoint, all threads stop, one modifier: the location.
  const location = Buffer.concat([Buffer.from([1]), type, method, Buffer.alloc(8)]);
  await command(15, 1, Buffer.from([2, 2]), int(1), Buffer.from([7]), location);
  const stopped = new Promise<void>((resolve) => {
    told = () => {
      // Kind 2 is a breakpoint; others tell of the machine's own life.
      if (events.some((event) => event[5] === 2)) resolve();
    };
  });
  const answered = call();
  await stopped;
  const threads = (await command(1, 4)).readUInt32BE(0);
  await command(15, 3);
  await command(1, 9);
  await answered;
  socket.destroy();
  return threads;
}

/** The Debug Adapter Protocol. Stops `call` at a line and resolves with the name of the method that it stopped in. */
export async function stopByDap(
  port: number,
  place: { path: string; line: number },
  call: () => Promise<unknown>,
): Promise<string | undefined> {
  const { socket, reader } = await open(port);
  const waiting: { wants: (message: DapMessage) => boolean; resolve: (message: DapMessage) => void }[] = [];
  const read = async () => {
    for (;;) {
      let length = 0;
      for (;;) {
        const line = (await reader.upTo(10)).trim();
        if (line === '') break;
        length = Number(/^Content-Length: (\d+)/i.exec(line)?.[1] ?? length);
      }
      const message = JSON.parse(String(await reader.bytes(length))) as DapMessage;
      if (message.event === 'stopped' && message.body?.reason === 'pause') {
        pausedAt = message.seq;
        if (pausedAt > wentOnAt) void goOn();
      }
      const at = waiting.findIndex(({ wants }) => wants(message));
      if (at >= 0) waiting.splice(at, 1)[0]?.resolve(message);
    }
  };
  // Numbers of messages: they may come in another order.
  let pausedAt = 0;
  let wentOnAt = Number.POSITIVE_INFINITY;
  /** Goes on after the attachment, which may stop everything once more. */
  const goOn = async (): Promise<void> => {
    wentOnAt = Number.POSITIVE_INFINITY;
    const { seq: at } = await request('continue', { threadId: 1 });
    if (pausedAt > at) return goOn();
    wentOnAt = at;
  };
  read().catch(() => {});
  const next = (wants: (message: DapMessage) => boolean) =>
    new Promise<DapMessage>((resolve) => waiting.push({ wants, resolve }));
  let seq = 0;
  const request = (command: string, body: object) => {
    const text = JSON.stringify({ seq: ++seq, type: 'request', command, arguments: body });
    const mine = seq;
    const answer = next((message) => message.request_seq === mine);
    socket.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
    return answer;
  };
  await request('initialize', {
    clientID: 'test',
    adapterID: 'rdbg',
    linesStartAt1: true,
    pathFormat: 'path',
  });
  await request('attach', { localfs: true });
  await request('setBreakpoints', { source: { path: place.path }, breakpoints: [{ line: place.line }] });
  const held = next((message) => message.event === 'stopped');
  await request('configurationDone', {});
  // It stops everything when somebody attaches.
  await held;
  await goOn();
  const stopped = next((message) => message.event === 'stopped' && message.body?.reason === 'breakpoint');
  const answered = call();
  const { body } = await stopped;
  const threadId = body?.threadId ?? 1;
  const stack = await request('stackTrace', { threadId });
  await request('setBreakpoints', { source: { path: place.path }, breakpoints: [] });
  void request('continue', { threadId });
  await answered;
  socket.destroy();
  return stack.body?.stackFrames?.[0]?.name;
}

interface DapMessage {
  seq: number;
  request_seq?: number;
  event?: string;
  body?: { reason?: string; threadId?: number; stackFrames?: { name: string }[] };
}

/** DBGp, where the editor listens. Stops `call` in a function and resolves with the stack that it stopped in. */
export async function stopInPhp(
  port: number,
  place: { method: string },
  call: () => Promise<unknown>,
): Promise<string> {
  const server = createServer().listen(port, LOOPBACK);
  await once(server, 'listening');
  const answered = call();
  const [socket] = (await once(server, 'connection')) as [Socket];
  const reader = new Reader(socket);
  const message = async () => {
    const length = Number(await reader.upTo(0));
    const text = String(await reader.bytes(length));
    await reader.bytes(1);
    return text;
  };
  let id = 0;
  const command = (name: string, more = '') => {
    socket.write(`${name} -i ${++id}${more}\0`);
    return message();
  };
  await message();
  await command('breakpoint_set', ` -t call -m ${place.method}`);
  await command('run');
  const stack = await command('stack_get');
  void command('detach').catch(() => {});
  await answered;
  socket.destroy();
  server.close();
  return stack;
}
