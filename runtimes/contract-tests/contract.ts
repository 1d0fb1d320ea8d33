/** runtimes/PROTOCOL.md, held against every runtime: real processes, real sockets, one table of behaviours. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, type TestContext, test } from 'node:test';
import {
  encode,
  header,
  type MuxClient,
  RawConnection,
  type RequestOptions,
  ResetError,
  T,
  WINDOW,
} from './client.ts';
import type { Caller } from './http-client.ts';
import { BuildError, forgetBuilds, freePort, Instance, until } from './instance.ts';
import { FAILURES, type Failing, type Language, type Source } from './language.ts';

const MEGABYTE = 1048576;
/** A request that ended without an answer: by RESET with the code where there are frames, by the end of the connection elsewhere. */
const isReset = (code: string) => (error: unknown) =>
  error instanceof ResetError
    ? error.code === code
    : /ECONNRESET|socket hang up|aborted|ECONNREFUSED|ENOENT|EPIPE|Parse Error/.test(
        `${(error as NodeJS.ErrnoException).code} ${error}`,
      );

const specialise = (instance: Instance, { files, ...loaded }: Source, params: object = {}) =>
  instance.specialise(files, { ...loaded, ...params });
const inFlight = async (instance: Instance) => (await instance.control.call('health')).inFlight;

/** Bytes in which a lost, doubled or swapped piece shows. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i + 4 <= size; i += 4) bytes.writeUInt32LE(i, i);
  return bytes;
}

/** Declares the suite for one language. */
export function contract(language: Language): void {
  const { runtime, everything, crash, programs, lacks, transport } = language;
  const title = language.title ?? runtime;
  const mux = transport === 'mux';
  const asked = new Set<string>();
  /** A reason printed instead of the test, where the language has one. */
  const lack = (name: string): string | undefined => {
    asked.add(name);
    return lacks[name];
  };
  const check = (name: string, run: (t: TestContext) => void | Promise<void>, group = name) =>
    test(name, { skip: lack(group) ?? false }, run);
  const framed = (name: string, run: (t: TestContext) => void | Promise<void>) => {
    if (mux) check(name, run);
  };
  const skip = language.missing ?? false;
  const env = language.env ?? {};

  after(() => {
    forgetBuilds();
    if (skip === false)
      for (const name of Object.keys(lacks)) assert.ok(asked.has(name), `there is no test "${name}" to lack`);
  });

  describe(`${title}: requests`, { skip, concurrency: false }, () => {
    let instance: Instance;
    let data: Caller;
    const ask = (target: string, options: RequestOptions = {}) => data.request({ target, ...options });

    before(async () => {
      instance = await Instance.start({ runtime, env: { ...env, PETREL_SECRET: 'of the platform' } });
      const result = await specialise(instance, everything, {
        port: transport === 'http1' ? await freePort() : 40123,
      });
      assert.equal(result.transport.kind, transport);
      assert.equal(typeof result.loadMs, 'number');
      data = await instance.caller();
    });
    after(() => instance?.stop());

    check('HELLO says who answers', () => {
      const { hello } = mux ? (data as MuxClient) : instance.control;
      assert.equal(hello.version, 1);
      assert.equal(hello.runtime, runtime);
      assert.equal(hello.pid, instance.pid);
      assert.equal(typeof hello.language, 'string');
      assert.equal(hello.state, mux ? 'specialised' : 'generic');
    });

    const bodies: [string, Buffer, string][] = [
      ['text', Buffer.from('grüße 🌍'), 'text/plain'],
      ['JSON', Buffer.from('{"a":[1,2,{"b":null}]}'), 'application/json'],
      [
        'bytes that are no text',
        Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
        'application/octet-stream',
      ],
      ['one byte', Buffer.from([0]), 'application/octet-stream'],
      ['exactly a frame', pattern(65536), 'application/octet-stream'],
      ['a little more than a window', pattern(WINDOW + 1), 'application/octet-stream'],
    ];
    for (const [name, body, type] of bodies) {
      check(`a body of ${name} comes back as it went`, async () => {
        const answer = await ask('/echo', { method: 'POST', body, headers: [['content-type', type]] });
        assert.equal(answer.status, 200);
        assert.equal(header(answer, 'content-type'), type);
        assert.ok(answer.body.equals(body));
      });
    }

    check('10 MB go both ways at once, within the windows', async () => {
      const body = pattern(10 * MEGABYTE);
      const answer = await ask('/echo-stream', { method: 'PUT', body });
      assert.equal(answer.status, 200);
      assert.ok(answer.body.equals(body));
    });

    check('10 MB are read whole', async () => {
      const body = pattern(10 * MEGABYTE);
      const answer = await ask('/echo', { method: 'POST', body });
      assert.ok(answer.body.equals(body));
    });

    check('a body of unknown length arrives piece by piece', async () => {
      const pieces = async function* () {
        for (const piece of ['one ', 'two ', 'three']) yield Buffer.from(piece);
      };
      const answer = await ask('/echo', { method: 'POST', body: pieces() });
      assert.equal(answer.body.toString(), 'one two three');
    });

    check('an empty body and no body are both empty', async () => {
      assert.equal((await ask('/echo', { method: 'POST', body: '' })).body.length, 0);
      assert.equal((await ask('/echo', { method: 'GET' })).body.length, 0);
    });

    framed('a small answer is one frame, a large one is not', async () => {
      assert.equal((await ask('/log')).inline, true);
      const large = await ask('/echo', { method: 'POST', body: pattern(100_000) });
      assert.equal(large.inline, false);
      assert.equal(header(large, 'content-length'), '100000');
    });

    check('method, path, query and headers reach the handler as they were sent', async () => {
      const answer = await ask('/describe?a=1&b=x%20y&a=2', {
        method: 'PATCH',
        body: 'hello',
        headers: [
          ['x-custom', 'value with: colon'],
          ['accept', 'a/b'],
          ['x-latin1', 'caf\u00e9'],
        ],
      });
      const seen = JSON.parse(answer.body.toString());
      assert.equal(seen.method, 'PATCH');
      assert.equal(seen.path, '/describe');
      assert.deepEqual(seen.query.sort(), [
        ['a', '1'],
        ['a', '2'],
        ['b', 'x y'],
      ]);
      assert.equal(seen.headers['x-custom'], 'value with: colon');
      assert.equal(seen.headers['x-latin1'], 'caf\u00e9');
      assert.equal(seen.headers.host, 'fn.example.test');
      assert.equal(seen.body, 'hello');
    });

    check('headers of the answer: several of a name stay apart, latin1 stays', async () => {
      const answer = await ask('/headers');
      assert.deepEqual(
        answer.headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value),
        ['a=1; Path=/', 'b=2'],
      );
      assert.equal(header(answer, 'x-latin1'), 'caf\u00e9');
    });

    check('a header that would forge another line is refused', async () => {
      const answer = await ask('/bad-header');
      if (mux) assert.equal(answer.status, 500);
      assert.equal(header(answer, 'x-forged'), undefined);
      assert.doesNotMatch(header(answer, 'x-evil') ?? '', /[\r\n]/);
    });

    for (const status of [200, 201, 202, 301, 400, 404, 418, 500, 503, 599]) {
      check(`status ${status}`, async () => {
        const answer = await ask(`/status?code=${status}`);
        assert.equal(answer.status, status);
        assert.equal(answer.body.toString(), `body of ${status}`);
      });
    }
    for (const status of [204, 304]) {
      check(`status ${status} has no body`, async () => {
        const answer = await ask(`/status?code=${status}`);
        assert.equal(answer.status, status);
        assert.equal(answer.body.length, 0);
      });
    }

    check('HEAD: the head of GET, and its length, without the body', async () => {
      const answer = await ask('/status?code=200', { method: 'HEAD' });
      assert.equal(answer.status, 200);
      assert.equal(answer.body.length, 0);
      assert.equal(header(answer, 'content-length'), '11');
    });

    check('server-sent events leave one by one', async () => {
      const stream = data.open({ target: '/sse' });
      assert.equal(header(await stream.head, 'content-type'), 'text/event-stream');
      const seen = () => Buffer.concat(stream.chunks).toString();
      await until(() => seen() === 'data: 0\n\n', 'the first event');
      await ask('/open?1');
      await until(() => seen() === 'data: 0\n\ndata: 1\n\n', 'the second event');
      await ask('/open?2');
      assert.equal((await stream.done).body.toString(), 'data: 0\n\ndata: 1\n\ndata: 2\n\n');
    });

    check('a client that does not read stops the handler that writes', async () => {
      const size = 32 * MEGABYTE;
      const call = data.open({ target: `/big?bytes=${size}`, grant: false });
      await call.head;
      if (mux) await until(() => call.received === WINDOW, 'the window to be full');
      const produced = async () => Number((await ask('/produced')).body);
      let before = -1;
      await until(async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        const now = await produced();
        const still = now > 0 && now === before;
        before = now;
        return still;
      }, 'the handler to stop');
      const ahead = mux ? WINDOW + 4 * 65536 : 4 * MEGABYTE;
      assert.ok(before <= ahead, `the handler wrote ${before} bytes ahead`);
      if (mux) assert.equal(call.received, WINDOW);
      call.takeAll();
      assert.equal((await call.done).body.length, size);
    });

    check('a handler that does not read stops the client that writes', async () => {
      const call = data.open({ method: 'POST', target: '/slow-read', body: pattern(8 * MEGABYTE) });
      await until(() => call.stuck(), 'the instance to take no more');
      await ask('/log'); // another stream of the same connection is not held up
      await ask('/open?read');
      assert.match((await call.done).body.toString(), /^rest \d+$/);
    });

    check('100 requests at once on one connection', async () => {
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) => ask('/echo', { method: 'POST', body: `request ${i}` })),
      );
      answers.forEach((answer, i) => {
        assert.equal(answer.body.toString(), `request ${i}`);
      });
    });

    check('requests that wait do so side by side', async () => {
      await Promise.all(Array.from({ length: 100 }, () => ask('/sleep?ms=300')));
      const most = Number((await ask('/most')).body);
      assert.ok(most >= 50, `at most ${most} ran at once`);
    });

    for (const [target, message] of [
      ['/throw', 'TypeError: thrown in the handler'],
      ['/reject', 'rejected in the handler'],
    ] as const) {
      check(`${target} ends in one 500 with the request's id`, async () => {
        const answer = await ask(target, { headers: [] });
        assert.equal(answer.status, 500);
        const body = JSON.parse(answer.body.toString());
        assert.equal(body.component, 'function');
        assert.equal(body.reason, 'function_error');
        assert.match(body.requestId, /^req-\d+$/);
        assert.match(body.message, new RegExp(message));
        assert.match(String(body.stack), language.trace);
      });
    }

    check('an answer that breaks off is reset, not completed', async () => {
      await assert.rejects(ask('/break-stream'), isReset('handler_error'));
    });

    check('a time-out of the gateway reaches the handler', async () => {
      const stream = data.open({ method: 'POST', target: '/hang', body: (async function* () {})() });
      await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
      stream.reset('timeout');
      await until(async () => Number((await ask('/aborted')).body) === 1, 'the handler to notice');
      assert.equal((await instance.control.call('health')).inFlight, 0);
    });

    check('a client that goes away stops a stream', async () => {
      const stream = data.open({ target: `/big?bytes=${1000 * MEGABYTE}`, grant: false });
      await stream.head;
      if (mux) await until(() => stream.received === WINDOW, 'the window to be full');
      stream.reset('cancelled');
      await until(
        async () => (await instance.control.call('health')).inFlight === 0,
        'the request to be over',
      );
      assert.equal((await ask('/log')).status, 200);
    });

    check('a connection that closes takes only its own requests along', async () => {
      const other = await instance.caller();
      const lost = other.request({ target: '/hang-deaf' });
      await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
      other.close();
      await assert.rejects(lost, /the connection closed/);
      await until(async () => (await inFlight(instance)) === 0, 'the request to be over');
      assert.equal((await ask('/log')).status, 200);
    });

    check('what user code sees of its process', async () => {
      const { env, cwd, args } = JSON.parse((await ask('/environment')).body.toString());
      assert.equal(env.GREETING, 'hi there');
      assert.equal(env.K_REVISION, 'hello-00001');
      if (transport !== 'http1') assert.equal(env.PORT, '40123');
      assert.deepEqual(
        Object.keys(env).filter((name) => name.startsWith('PETREL_')),
        [],
      );
      if (language.cwd) assert.match(cwd, language.cwd);
      if (language.args) {
        assert.equal(args.length, 1);
        assert.match(args[0], language.args);
      }
    });

    check('standard input is at its end', async () => {
      assert.equal((await ask('/stdin')).body.toString(), 'stdin 0');
    });

    check('output reaches the log', async () => {
      await ask('/log');
      await until(
        () => /a line of output/.test(instance.output) && /a line of errors/.test(instance.output),
        'the output',
      );
    });

    framed('an upgrade is refused where the shape has none', async () => {
      const answer = await ask('/echo', {
        body: '',
        headers: [
          ['connection', 'upgrade'],
          ['upgrade', 'websocket'],
        ],
      });
      assert.equal(answer.status, 501);
    });

    check('specialise happens once', async () => {
      await assert.rejects(instance.control.call('specialise', { code: instance.dir }), {
        code: 'AlreadySpecialised',
      });
    });

    check('an unknown method is an error of the call, not of the connection', async () => {
      await assert.rejects(instance.control.call('make-coffee'), { code: 'BadRequest' });
      assert.deepEqual(await instance.control.call('health'), { state: 'specialised', inFlight: 0 });
    });

    check('PING is answered with its bytes', async () => {
      const raw = await RawConnection.open(instance.socket);
      const pong = new Promise<Buffer>((resolve) => {
        raw.onFrame = (frame) => frame.type === T.PONG && resolve(frame.payload);
      });
      raw.send(T.HELLO, 0, { version: 1, role: mux ? 'data' : 'control' });
      raw.send(T.PING, 0, Buffer.from('12345678'));
      assert.equal((await pong).toString(), '12345678');
      raw.socket.destroy();
    });

    framed('frames that arrive byte by byte are frames', async () => {
      const raw = await RawConnection.open(instance.socket);
      const answered = new Promise<Buffer>((resolve) => {
        raw.onFrame = (frame) => frame.type === T.RESPONSE && resolve(frame.payload);
      });
      const bytes = Buffer.concat([
        encode(T.HELLO, 0, '{"version":1,"role":"data"}'),
        encode(T.REQUEST_BODY, 1, 'POST /echo\r\nhost: x\r\n'),
        encode(T.DATA, 1, 'bit by bit'),
        encode(T.END, 1),
      ]);
      for (const byte of bytes) {
        raw.socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.match((await answered).toString('latin1'), /bit by bit$/);
      raw.socket.destroy();
    });

    const hello = encode(T.HELLO, 0, JSON.stringify({ version: 1, role: mux ? 'data' : 'control' }));
    const open = encode(T.REQUEST_BODY, 1, 'POST /hang-deaf\r\nhost: x\r\n');
    const tooLong = Buffer.alloc(9);
    tooLong.writeUInt32LE(MEGABYTE + 1);
    tooLong[4] = T.DATA;
    const violations: [string, Buffer[]][] = [
      ['a first frame that is not HELLO', [encode(T.REQUEST, 1, 'GET /\r\n')]],
      ['another version', [encode(T.HELLO, 0, '{"version":2,"role":"data"}')]],
      ['an unknown role', [encode(T.HELLO, 0, '{"version":1,"role":"admin"}')]],
      ['HELLO that is no JSON', [encode(T.HELLO, 0, 'GET / HTTP/1.1')]],
      ['a frame that is too long', [hello, tooLong]],
      ['a second HELLO', [hello, hello]],
    ];
    const ofStreams: [string, Buffer[]][] = [
      ['stream 0', [hello, encode(T.REQUEST, 0, 'GET /\r\n')]],
      ['a stream used twice', [hello, open, open]],
      [
        'a stream number that goes back',
        [
          hello,
          encode(T.REQUEST_BODY, 5, 'POST /hang-deaf\r\n'),
          encode(T.REQUEST_BODY, 4, 'POST /hang-deaf\r\n'),
        ],
      ],
      ['DATA for a stream that never began', [hello, encode(T.DATA, 9, 'x')]],
      ['DATA after END', [hello, open, encode(T.END, 1), encode(T.DATA, 1, 'x')]],
      ['a DATA frame beyond its size', [hello, open, encode(T.DATA, 1, Buffer.alloc(65537))]],
      [
        'more DATA than the window',
        [hello, open, ...Array.from({ length: 5 }, () => encode(T.DATA, 1, Buffer.alloc(65536)))],
      ],
      ['a WINDOW of the wrong size', [hello, open, encode(T.WINDOW, 1, 'x')]],
      ['a request head without target', [hello, encode(T.REQUEST, 1, 'GET\r\n')]],
      ['a CALL on a data connection', [hello, encode(T.CALL, 0, '{"id":1,"method":"shutdown"}')]],
      ['a RESPONSE from the platform', [hello, encode(T.RESPONSE, 1, 'x')]],
    ];
    const ofControl: [string, Buffer[]][] = [
      ['a data connection', [encode(T.HELLO, 0, '{"version":1,"role":"data"}')]],
      ['a request on a control connection', [hello, encode(T.REQUEST, 1, 'GET /\r\n')]],
    ];
    for (const [name, frames] of [...violations, ...(mux ? ofStreams : ofControl)]) {
      check(`protocol error: ${name} closes the connection, and only that`, async () => {
        const raw = await RawConnection.open(instance.socket);
        raw.socket.write(Buffer.concat(frames));
        await raw.closed;
        assert.equal((await ask('/log')).status, 200);
      });
    }
    check('a frame of an unknown type above 15 is ignored', async () => {
      (mux ? (data as MuxClient) : instance.control).raw.send(99, 0, 'from the future');
      assert.equal((await instance.control.call('health')).state, 'specialised');
      assert.equal((await ask('/log')).status, 200);
    });
  });

  describe(`${title}: loading`, { skip }, () => {
    for (const [name, { code, env: settings }] of Object.entries(FAILURES)) {
      const failure = language.failures[name as keyof typeof FAILURES] as Failing | undefined;
      const reason = lack(name);
      test(`${name}: ${failure?.building ? 'the build fails' : code}, verbatim`, {
        skip: reason ?? false,
      }, async (t) => {
        assert.ok(failure, 'neither shown nor among what the language lacks');
        const instance = await Instance.start({ runtime, env: { ...env, ...settings } });
        t.after(() => instance.stop());
        const error = await specialise(instance, failure.source, { port: await freePort() }).then(
          () => assert.fail('it loaded'),
          (thrown) => thrown,
        );
        const text = error instanceof BuildError ? error.log : `${error.message}\n${error.detail ?? ''}`;
        assert.equal(error instanceof BuildError, failure.building ?? false, text);
        assert.match(text, failure.says);
        if (failure.shows) assert.ok((error.detail ?? text).includes(failure.shows), text);
        if (failure.building) {
          if (failure.file) assert.match(text, new RegExp(`${failure.file}\\b.{0,3}${failure.line ?? ''}`));
          return;
        }
        assert.equal(error.code, code, JSON.stringify(error));
        if (failure.file) assert.equal(error.file, failure.file);
        if (failure.line) assert.equal(error.line, failure.line);
        assert.ok(
          !JSON.stringify(error).includes(instance.dir),
          `an absolute path in ${JSON.stringify(error)}`,
        );
        assert.notEqual((await instance.exited).code, null, 'the instance is used up and exits');
      });
    }

    check('a bad call leaves the instance generic', async (t) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      await assert.rejects(instance.control.call('specialise', {}), { code: 'BadRequest' });
      await assert.rejects(instance.control.call('specialise', { code: '/nowhere' }), { code: 'BadRequest' });
      await assert.rejects(instance.control.call('specialise', { code: instance.dir, port: 'http' }), {
        code: 'BadRequest',
      });
      assert.equal((await instance.control.call('health')).state, 'generic');
      await specialise(instance, everything, { port: await freePort() });
    });

    framed('a request to a generic instance is refused, not lost', async (t) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      const data = await instance.connect();
      await assert.rejects(data.request(), isReset('overloaded'));
    });

    check('outside of development an error keeps its words to itself', async (t) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      await specialise(instance, everything, { development: false, port: await freePort() });
      const answer = await (await instance.caller()).request({ target: '/throw' });
      assert.deepEqual(Object.keys(JSON.parse(answer.body.toString())), ['component', 'reason', 'requestId']);
      await until(() => instance.output.includes('thrown in the handler'), 'the error in the log');
    });
  });

  if (programs !== undefined) describePrograms(language, programs);
  else test(`${title}: programs`, { skip: lack('programs') ?? 'no reason is given' }, () => {});

  describe(`${title}: ends`, { skip }, () => {
    const start = async (t: TestContext, source = everything, settings = {}) => {
      const instance = await Instance.start({ runtime, env: { ...env, ...settings } });
      t.after(() => instance.stop());
      await specialise(instance, source, { port: await freePort() });
      return { instance, data: await instance.caller() };
    };
    /** Resolves when the instance has said, or shown, that it takes no more. */
    const closing = async (instance: Instance, data: Caller) => {
      if (mux) return (data as MuxClient).goaway;
      await until(async () => {
        const probe = await instance.caller();
        return probe.request({ target: '/log' }).then(
          () => false,
          () => true,
        );
      }, 'new connections to be refused');
    };

    for (const target of ['/crash', '/reject']) {
      check(
        `user code that breaks the process (${target}) resets what is in flight and says why`,
        async (t) => {
          const { instance, data } = await start(t, crash);
          const bystander = data.request({ target: '/wait' });
          bystander.catch(() => {});
          await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
          await assert.rejects(data.request({ target }), isReset('crashed'));
          await assert.rejects(bystander, isReset('crashed'));
          if (mux) await (data as MuxClient).goaway;
          const { code } = await instance.exited;
          assert.notEqual(code, 0);
          const event = instance.control.events.find((one) => one.event === 'failed');
          assert.match(String(event?.message), /thrown by a timer/);
          assert.match(String(event?.detail), language.trace);
        },
      );
    }

    check('a process that exits in a handler takes its connections along', async (t) => {
      const { instance, data } = await start(t);
      await assert.rejects(data.request({ target: '/exit' }));
      assert.equal((await instance.exited).code, 3);
    });

    check('drain: no new streams, the open ones are answered', async (t) => {
      const { instance, data } = await start(t);
      const open = data.request({ target: '/sleep?ms=300' });
      await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
      const drained = instance.control.call('drain', { graceMs: 10_000 });
      await closing(instance, data);
      if (mux) await assert.rejects(data.request({ target: '/log' }), isReset('draining'));
      assert.equal((await open).body.toString(), 'slept');
      assert.deepEqual(await drained, { left: 0 });
      await instance.control.call('shutdown');
      assert.equal((await instance.exited).code, 0);
    });

    check('drain says how many are left when its time is over', async (t) => {
      const { instance, data } = await start(t);
      data.open({ target: '/hang-deaf' });
      await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
      assert.deepEqual(await instance.control.call('drain', { graceMs: 50 }), { left: 1 });
    });

    check('SIGTERM drains and exits 0', async (t) => {
      const { instance, data } = await start(t);
      const open = data.request({ target: '/sleep?ms=300' });
      await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
      instance.kill('SIGTERM');
      await closing(instance, data);
      assert.equal((await open).body.toString(), 'slept');
      assert.equal((await instance.exited).code, 0);
    });

    check('SIGTERM ends a hanging request after its grace', async (t) => {
      const { instance, data } = await start(t, everything, { PETREL_TERM_GRACE_MS: '100' });
      const open = data.request({ target: '/hang-deaf' });
      await until(async () => (await inFlight(instance)) === 1, 'the request to begin');
      instance.kill('SIGTERM');
      await assert.rejects(open);
      assert.equal((await instance.exited).code, 0);
    });

    check('an instance whose platform is gone ends; one whose platform comes back does not', async (t) => {
      const { instance } = await start(t, everything, { PETREL_CONTROL_GRACE_MS: '400' });
      instance.control.close();
      const back = await instance.connect('control');
      await new Promise((resolve) => setTimeout(resolve, 800));
      assert.equal((await back.call('health')).state, 'specialised');
      back.close();
      assert.equal((await instance.exited).code, 0);
    });

    check('an instance no platform ever came to ends', async (t) => {
      const instance = await Instance.start({
        runtime,
        env: { PETREL_ORPHAN_MS: '100', PETREL_CONTROL_GRACE_MS: '50' },
      }).catch(() => undefined);
      // Either it was gone before the first connection, or it goes when that closes.
      if (instance === undefined) return;
      t.after(() => instance.stop());
      instance.control.close();
      assert.equal((await instance.exited).code, 0);
    });

    check('a handler that hangs is not hidden by an answer to PING', async (t) => {
      assert.ok(language.hanging, 'neither shown nor among what the language lacks');
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      const flag = `${instance.dir}/go`;
      await specialise(instance, language.hanging, { concurrency: 1, env: { GO: flag } });
      const raw = await RawConnection.open(instance.socket);
      t.after(() => raw.socket.destroy());
      let pongs = 0;
      raw.onFrame = (frame) => {
        if (frame.type === T.PONG) pongs++;
      };
      raw.send(T.HELLO, 0, { version: 1, role: 'data' });
      raw.send(T.PING, 0, Buffer.from('before  '));
      await until(() => pongs === 1, 'a PONG');
      raw.send(T.REQUEST, 1, 'GET /\r\nhost: x\r\n');
      raw.send(T.RESET, 1, { code: 'timeout', message: '' });
      raw.send(T.PING, 0, Buffer.from('hanging '));
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.equal(pongs, 1);
      fs.writeFileSync(flag, '');
      await until(() => pongs === 2, 'a PONG once it has returned');
    });

    check('a control connection that breaks in the middle of a call harms nobody', async (t) => {
      const { instance, data } = await start(t);
      const second = await instance.connect('control');
      second.call('drain', { graceMs: 0 }).catch(() => {});
      second.close();
      await until(async () => (await instance.control.call('health')).inFlight === 0, 'an answer');
      await closing(instance, data);
      assert.equal(instance.child.exitCode, null);
    });
  });
}

/** Programs that listen on `$PORT`. */
function describePrograms(language: Language, programs: NonNullable<Language['programs']>): void {
  const { runtime, lacks, env = {} } = language;
  describe(`${language.title ?? runtime}: programs`, { skip: language.missing ?? false }, () => {
    const kinds = [
      ['a declared program', programs.declared, true],
      ['code that listens when it is loaded', programs.whenLoaded, false],
      ['code that listens some time after it is loaded, or only as a main program', programs.later, false],
    ] as const;
    for (const [name, source, declared] of kinds) {
      if (source === undefined) continue;
      test(`${name} is reached on its port, and ends with its instance`, async (t) => {
        const instance = await Instance.start({ runtime, env });
        t.after(() => instance.stop());
        const port = await freePort();
        const result = await specialise(instance, source, {
          port,
          ...(declared ? { shape: 'program' } : {}),
        });
        assert.deepEqual(result.transport, { kind: 'http1', host: '127.0.0.1', port });
        assert.equal(result.shape, 'program');
        const response = await fetch(`http://127.0.0.1:${port}/x?y`);
        assert.equal(await response.text(), 'program /x?y hi there');
        instance.kill('SIGTERM');
        await instance.exited;
        await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
      });
    }

    test('a Procfile says what is run, through a shell or without', {
      skip: runtime !== 'node' && 'a package with a Procfile is run by the node runtime',
    }, async (t) => {
      const { files, entry } = programs.declared;
      for (const command of [
        `node ${entry}`,
        `NAME=$K_SERVICE node ${entry}`,
        `env A="$PORT" node ${entry}`,
      ]) {
        const instance = await Instance.start({ runtime, env });
        t.after(() => instance.stop());
        const port = await freePort();
        const manifest = '{"scripts":{"start":"not this one"}}';
        const Procfile = `worker: nor this\nweb: ${command}\n`;
        await instance.specialise(
          { ...files, 'package.json': manifest, Procfile },
          { port, shape: 'program' },
        );
        assert.equal((await fetch(`http://127.0.0.1:${port}/x`)).status, 200, command);
        instance.kill('SIGTERM');
        await instance.exited;
        await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
      }
    });

    test('a program ends with its supervisor, even when that is killed', {
      skip:
        lacks['a program ends with its supervisor'] ??
        (fs.existsSync('/usr/bin/setpriv') ? false : 'setpriv of util-linux is not installed'),
    }, async (t) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      const port = await freePort();
      await specialise(instance, programs.declared, { port, shape: 'program' });
      instance.kill('SIGKILL');
      await instance.exited;
      await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
    });

    test('a program that ends before it listens: its exit code and the end of its stderr', async (t) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      await assert.rejects(
        specialise(instance, programs.failing, { port: await freePort(), shape: 'program' }),
        (error: { code: string; message: string; detail: string }) => {
          assert.equal(error.code, 'LoadError');
          assert.match(error.message, /exit code 7 before it listened/);
          assert.match(error.detail, /cannot start: no licence/);
          return true;
        },
      );
    });

    test('a program that never listens is ended in time', async (t) => {
      const instance = await Instance.start({ runtime, env: { ...env, PETREL_LOAD_TIMEOUT_MS: '1000' } });
      t.after(() => instance.stop());
      await assert.rejects(
        specialise(instance, programs.silent, { port: await freePort(), shape: 'program' }),
        {
          code: 'LoadError',
          message: /did not listen on port/,
        },
      );
    });
  });
}
