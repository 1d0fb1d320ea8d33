/** runtimes/PROTOCOL.md, held against every runtime: real processes, real sockets, one table of behaviours. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
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
import { failingProgram, functions, loadFailures, programs, silentProgram } from './functions.ts';
import { freePort, Instance, missing, type RuntimeName, until } from './instance.ts';

const MEGABYTE = 1048576;
const isReset = (code: string) => (error: unknown) => error instanceof ResetError && error.code === code;

/** Bytes in which a lost, doubled or swapped piece shows. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i + 4 <= size; i += 4) bytes.writeUInt32LE(i, i);
  return bytes;
}

for (const runtime of ['node', 'python'] as RuntimeName[]) {
  const { everything, crash } = functions;

  describe(`${runtime}: requests`, { skip: missing[runtime] ?? false, concurrency: false }, () => {
    let instance: Instance;
    let data: MuxClient;
    const ask = (target: string, options: RequestOptions = {}) => data.request({ target, ...options });

    before(async () => {
      instance = await Instance.start({ runtime, env: { PETREL_SECRET: 'of the platform' } });
      const { files, entry } = everything[runtime];
      const result = await instance.specialise(files, { entry, port: 40123 });
      assert.deepEqual(result.transport, { kind: 'mux' });
      assert.equal(typeof result.loadMs, 'number');
      data = await instance.connect();
    });
    after(() => instance?.stop());

    test('HELLO says who answers', () => {
      assert.equal(data.hello.version, 1);
      assert.equal(data.hello.runtime, runtime);
      assert.equal(data.hello.pid, instance.child.pid);
      assert.equal(data.hello.state, 'specialised');
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
    for (const [title, body, type] of bodies) {
      test(`a body of ${title} comes back as it went`, async () => {
        const answer = await ask('/echo', { method: 'POST', body, headers: [['content-type', type]] });
        assert.equal(answer.status, 200);
        assert.equal(header(answer, 'content-type'), type);
        assert.ok(answer.body.equals(body));
      });
    }

    test('10 MB go both ways at once, within the windows', async () => {
      const body = pattern(10 * MEGABYTE);
      const answer = await ask('/echo-stream', { method: 'PUT', body });
      assert.equal(answer.status, 200);
      assert.ok(answer.body.equals(body));
    });

    test('10 MB are read whole', async () => {
      const body = pattern(10 * MEGABYTE);
      const answer = await ask('/echo', { method: 'POST', body });
      assert.ok(answer.body.equals(body));
    });

    test('a body of unknown length arrives piece by piece', async () => {
      const pieces = async function* () {
        for (const piece of ['one ', 'two ', 'three']) yield Buffer.from(piece);
      };
      const answer = await ask('/echo', { method: 'POST', body: pieces() });
      assert.equal(answer.body.toString(), 'one two three');
    });

    test('an empty body and no body are both empty', async () => {
      assert.equal((await ask('/echo', { method: 'POST', body: '' })).body.length, 0);
      assert.equal((await ask('/echo', { method: 'GET' })).body.length, 0);
    });

    test('a small answer is one frame, a large one is not', async () => {
      assert.equal((await ask('/log')).inline, true);
      const large = await ask('/echo', { method: 'POST', body: pattern(100_000) });
      assert.equal(large.inline, false);
      assert.equal(header(large, 'content-length'), '100000');
    });

    test('method, path, query and headers reach the handler as they were sent', async () => {
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

    test('headers of the answer: several of a name stay apart, latin1 stays', async () => {
      const answer = await ask('/headers');
      assert.deepEqual(
        answer.headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value),
        ['a=1; Path=/', 'b=2'],
      );
      assert.equal(header(answer, 'x-latin1'), 'caf\u00e9');
    });

    test('a header that would forge another line is refused', async () => {
      const answer = await ask('/bad-header');
      assert.equal(answer.status, 500);
      assert.equal(header(answer, 'x-forged'), undefined);
    });

    for (const status of [200, 201, 202, 301, 400, 404, 418, 500, 503, 599]) {
      test(`status ${status}`, async () => {
        const answer = await ask(`/status?code=${status}`);
        assert.equal(answer.status, status);
        assert.equal(answer.body.toString(), `body of ${status}`);
      });
    }
    for (const status of [204, 304]) {
      test(`status ${status} has no body`, async () => {
        const answer = await ask(`/status?code=${status}`);
        assert.equal(answer.status, status);
        assert.equal(answer.body.length, 0);
      });
    }

    test('HEAD: the head of GET, and its length, without the body', async () => {
      const answer = await ask('/status?code=200', { method: 'HEAD' });
      assert.equal(answer.status, 200);
      assert.equal(answer.body.length, 0);
      assert.equal(header(answer, 'content-length'), '11');
    });

    test('server-sent events leave one by one', async () => {
      const stream = data.open({ target: '/sse' });
      assert.equal(header(await stream.head, 'content-type'), 'text/event-stream');
      const seen = () => Buffer.concat(stream.chunks).toString();
      await until(() => seen() === 'data: 0\n\n', 'the first event');
      await ask('/open?1');
      await until(() => seen() === 'data: 0\n\ndata: 1\n\n', 'the second event');
      await ask('/open?2');
      assert.equal((await stream.done).body.toString(), 'data: 0\n\ndata: 1\n\ndata: 2\n\n');
    });

    test('a client that does not read stops the handler that writes', async () => {
      const size = 8 * MEGABYTE;
      const stream = data.open({ target: `/big?bytes=${size}`, grant: false });
      await until(() => stream.received === WINDOW, 'the window to be full');
      const produced = async () => Number((await ask('/produced')).body);
      let before = -1;
      await until(async () => {
        const now = await produced();
        const still = now === before;
        before = now;
        return still;
      }, 'the handler to stop');
      assert.ok(before <= WINDOW + 4 * 65536, `the handler wrote ${before} bytes ahead`);
      assert.equal(stream.received, WINDOW);
      stream.onData = (chunk) => stream.grant(chunk.length);
      stream.grant(WINDOW);
      assert.equal((await stream.done).body.length, size);
    });

    test('a handler that does not read stops the client that writes', async () => {
      const stream = data.open({ method: 'POST', target: '/slow-read', body: pattern(2 * MEGABYTE) });
      await until(() => stream.sendWindow === 0, 'the window to be used up');
      await ask('/log'); // another stream of the same connection is not held up
      await ask('/open?read');
      assert.match((await stream.done).body.toString(), /^rest \d+$/);
    });

    test('100 requests at once on one connection', async () => {
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) => ask('/echo', { method: 'POST', body: `request ${i}` })),
      );
      answers.forEach((answer, i) => {
        assert.equal(answer.body.toString(), `request ${i}`);
      });
    });

    test('requests that wait do so side by side', async () => {
      await Promise.all(Array.from({ length: 100 }, () => ask('/sleep?ms=300')));
      const most = Number((await ask('/most')).body);
      assert.ok(most >= 50, `at most ${most} ran at once`);
    });

    for (const [target, message] of [
      ['/throw', 'TypeError: thrown in the handler'],
      ['/reject', 'rejected in the handler'],
    ] as const) {
      test(`${target} ends in one 500 with the request's id`, async () => {
        const answer = await ask(target, { headers: [] });
        assert.equal(answer.status, 500);
        const body = JSON.parse(answer.body.toString());
        assert.equal(body.component, 'function');
        assert.equal(body.reason, 'function_error');
        assert.match(body.requestId, /^req-\d+$/);
        assert.match(body.message, new RegExp(message));
        assert.match(body.stack, /fn\.(mjs|py)/);
      });
    }

    test('an answer that breaks off is reset, not completed', async () => {
      await assert.rejects(ask('/break-stream'), isReset('handler_error'));
    });

    test('a time-out of the gateway reaches the handler', async () => {
      const stream = data.open({ method: 'POST', target: '/hang', body: (async function* () {})() });
      await until(async () => (await instance.control.call('health')).inFlight === 1, 'the request to begin');
      stream.reset('timeout');
      await until(async () => Number((await ask('/aborted')).body) === 1, 'the handler to notice');
      assert.equal((await instance.control.call('health')).inFlight, 0);
    });

    test('a client that goes away stops a stream', async () => {
      const stream = data.open({ target: `/big?bytes=${1000 * MEGABYTE}`, grant: false });
      await stream.head;
      await until(() => stream.received === WINDOW, 'the window to be full');
      stream.reset('cancelled');
      await until(
        async () => (await instance.control.call('health')).inFlight === 0,
        'the request to be over',
      );
      assert.equal((await ask('/log')).status, 200);
    });

    test('a connection that closes takes only its own requests along', async () => {
      const other = await instance.connect();
      const lost = other.request({ target: '/hang-deaf' });
      await until(async () => (await instance.control.call('health')).inFlight === 1, 'the request to begin');
      other.close();
      await assert.rejects(lost, /the connection closed/);
      await until(
        async () => (await instance.control.call('health')).inFlight === 0,
        'the request to be over',
      );
      assert.equal((await ask('/log')).status, 200);
    });

    test('what user code sees of its process', async () => {
      const { env, cwd, args } = JSON.parse((await ask('/environment')).body.toString());
      assert.equal(env.GREETING, 'hi there');
      assert.equal(env.K_REVISION, 'hello-00001');
      assert.equal(env.PORT, '40123');
      assert.deepEqual(
        Object.keys(env).filter((name) => name.startsWith('PETREL_')),
        [],
      );
      assert.match(cwd, /\/code$/);
      assert.equal(args.length, 1);
      assert.match(args[0], /\/code\/fn\.(mjs|py)$/);
    });

    test('standard input is at its end', async () => {
      assert.equal((await ask('/stdin')).body.toString(), 'stdin 0');
    });

    test('output reaches the log', async () => {
      await ask('/log');
      await until(
        () => /a line of output/.test(instance.output) && /a line of errors/.test(instance.output),
        'the output',
      );
    });

    test('an upgrade is refused where the shape has none', async () => {
      const answer = await ask('/echo', {
        body: '',
        headers: [
          ['connection', 'upgrade'],
          ['upgrade', 'websocket'],
        ],
      });
      assert.equal(answer.status, 501);
    });

    test('specialise happens once', async () => {
      await assert.rejects(instance.control.call('specialise', { code: instance.dir }), {
        code: 'AlreadySpecialised',
      });
    });

    test('an unknown method is an error of the call, not of the connection', async () => {
      await assert.rejects(instance.control.call('make-coffee'), { code: 'BadRequest' });
      assert.deepEqual(await instance.control.call('health'), { state: 'specialised', inFlight: 0 });
    });

    test('PING is answered with its bytes', async () => {
      const raw = await RawConnection.open(instance.socket);
      const pong = new Promise<Buffer>((resolve) => {
        raw.onFrame = (frame) => frame.type === T.PONG && resolve(frame.payload);
      });
      raw.send(T.HELLO, 0, { version: 1, role: 'data' });
      raw.send(T.PING, 0, Buffer.from('12345678'));
      assert.equal((await pong).toString(), '12345678');
      raw.socket.destroy();
    });

    test('frames that arrive byte by byte are frames', async () => {
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

    const hello = encode(T.HELLO, 0, '{"version":1,"role":"data"}');
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
    for (const [title, frames] of violations) {
      test(`protocol error: ${title} closes the connection, and only that`, async () => {
        const raw = await RawConnection.open(instance.socket);
        raw.socket.write(Buffer.concat(frames));
        await raw.closed;
        assert.equal((await ask('/log')).status, 200);
      });
    }
    test('a frame of an unknown type above 15 is ignored', async () => {
      data.raw.send(99, 0, 'from the future');
      assert.equal((await ask('/log')).status, 200);
    });
  });

  describe(`${runtime}: loading`, { skip: missing[runtime] ?? false }, () => {
    for (const failure of loadFailures) {
      test(`${failure.title}: ${failure.code}, verbatim`, async (t) => {
        const instance = await Instance.start({ runtime, env: failure.env ?? {} });
        t.after(() => instance.stop());
        const { files, entry, handler } = failure.source[runtime];
        const error = await instance.specialise(files, { entry, handler }).then(
          () => assert.fail('it loaded'),
          (reason) => reason,
        );
        assert.equal(error.code, failure.code, JSON.stringify(error));
        assert.match(`${error.message}\n${error.detail ?? ''}`, failure.says[runtime]);
        if (failure.file) assert.equal(error.file, failure.file[runtime]);
        if (failure.line) assert.equal(error.line, failure.line);
        if (failure.shows) assert.ok(error.detail.includes(failure.shows[runtime]), error.detail);
        assert.ok(
          !JSON.stringify(error).includes(instance.dir),
          `an absolute path in ${JSON.stringify(error)}`,
        );
        assert.notEqual((await instance.exited).code, null, 'the instance is used up and exits');
      });
    }

    test('a bad call leaves the instance generic', async (t) => {
      const instance = await Instance.start({ runtime });
      t.after(() => instance.stop());
      await assert.rejects(instance.control.call('specialise', {}), { code: 'BadRequest' });
      await assert.rejects(instance.control.call('specialise', { code: '/nowhere' }), { code: 'BadRequest' });
      await assert.rejects(instance.control.call('specialise', { code: instance.dir, port: 'http' }), {
        code: 'BadRequest',
      });
      assert.equal((await instance.control.call('health')).state, 'generic');
      const { files, entry } = everything[runtime];
      await instance.specialise(files, { entry });
    });

    test('a request to a generic instance is refused, not lost', async (t) => {
      const instance = await Instance.start({ runtime });
      t.after(() => instance.stop());
      const data = await instance.connect();
      await assert.rejects(data.request(), isReset('overloaded'));
    });

    test('outside of development an error keeps its words to itself', async (t) => {
      const instance = await Instance.start({ runtime });
      t.after(() => instance.stop());
      const { files, entry } = everything[runtime];
      await instance.specialise(files, { entry, development: false });
      const answer = await (await instance.connect()).request({ target: '/throw' });
      assert.deepEqual(Object.keys(JSON.parse(answer.body.toString())), ['component', 'reason', 'requestId']);
      await until(() => instance.output.includes('thrown in the handler'), 'the error in the log');
    });
  });

  describe(`${runtime}: programs`, { skip: missing[runtime] ?? false }, () => {
    for (const { title, declared, source } of programs) {
      test(`${title} is reached on its port, and ends with its instance`, async (t) => {
        const instance = await Instance.start({ runtime });
        t.after(() => instance.stop());
        const port = await freePort();
        const { files, entry } = source[runtime];
        const result = await instance.specialise(files, {
          entry,
          port,
          ...(declared ? { shape: 'program' } : {}),
        });
        assert.deepEqual(result.transport, { kind: 'http1', host: '127.0.0.1', port });
        assert.equal(result.shape, 'program');
        const response = await fetch(`http://127.0.0.1:${port}/x?y`);
        assert.equal(await response.text(), `program /x?y ${declared || result ? 'hi there' : ''}`);
        instance.child.kill('SIGTERM');
        await instance.exited;
        await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
      });
    }

    test('a Procfile says what is run, through a shell or without', {
      skip: runtime !== 'node' && 'a package with a Procfile is run by the node runtime',
    }, async (t) => {
      const { files, entry } = programs[0]!.source[runtime];
      const main = String(entry);
      for (const command of [`node ${main}`, `NAME=$K_SERVICE node ${main}`, `env A="$PORT" node ${main}`]) {
        const instance = await Instance.start({ runtime });
        t.after(() => instance.stop());
        const port = await freePort();
        const manifest = '{"scripts":{"start":"not this one"}}';
        const Procfile = `worker: nor this\nweb: ${command}\n`;
        await instance.specialise(
          { ...files, 'package.json': manifest, Procfile },
          { port, shape: 'program' },
        );
        assert.equal((await fetch(`http://127.0.0.1:${port}/x`)).status, 200, command);
        instance.child.kill('SIGTERM');
        await instance.exited;
        await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
      }
    });

    test('a program ends with its supervisor, even when that is killed', {
      skip: !fs.existsSync('/usr/bin/setpriv') && 'setpriv of util-linux is not installed',
    }, async (t) => {
      const instance = await Instance.start({ runtime });
      t.after(() => instance.stop());
      const port = await freePort();
      const { files, entry } = programs[0]!.source[runtime];
      await instance.specialise(files, { entry, port, shape: 'program' });
      instance.child.kill('SIGKILL');
      await instance.exited;
      await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
    });

    test('a program that ends before it listens: its exit code and the end of its stderr', async (t) => {
      const instance = await Instance.start({ runtime });
      t.after(() => instance.stop());
      const { files, entry } = failingProgram[runtime];
      await assert.rejects(
        instance.specialise(files, { entry, port: await freePort(), shape: 'program' }),
        (error: { code: string; message: string; detail: string }) => {
          assert.equal(error.code, 'LoadError');
          assert.match(error.message, /exit code 7 before it listened/);
          assert.match(error.detail, /cannot start: no licence/);
          return true;
        },
      );
    });

    test('a program that never listens is ended in time', async (t) => {
      const instance = await Instance.start({ runtime, env: { PETREL_LOAD_TIMEOUT_MS: '1000' } });
      t.after(() => instance.stop());
      const { files, entry } = silentProgram[runtime];
      await assert.rejects(instance.specialise(files, { entry, port: await freePort(), shape: 'program' }), {
        code: 'LoadError',
        message: /did not listen on port/,
      });
    });
  });

  describe(`${runtime}: ends`, { skip: missing[runtime] ?? false }, () => {
    const start = async (
      t: { after: (fn: () => Promise<void>) => void },
      source = everything[runtime],
      env = {},
    ) => {
      const instance = await Instance.start({ runtime, env });
      t.after(() => instance.stop());
      await instance.specialise(source.files, { entry: source.entry });
      return { instance, data: await instance.connect() };
    };

    for (const target of ['/crash', '/reject']) {
      test(`user code that breaks the process (${target}) resets what is in flight and says why`, async (t) => {
        const { instance, data } = await start(t, crash[runtime]);
        const bystander = data.request({ target: '/wait' });
        bystander.catch(() => {});
        await until(
          async () => (await instance.control.call('health')).inFlight === 1,
          'the request to begin',
        );
        await assert.rejects(data.request({ target }), isReset('crashed'));
        await assert.rejects(bystander, isReset('crashed'));
        await data.goaway;
        const { code } = await instance.exited;
        assert.notEqual(code, 0);
        const event = instance.control.events.find((one) => one.event === 'failed');
        assert.match(String(event?.message), /thrown by a timer/);
        assert.match(String(event?.detail), /fn\.(mjs|py)/);
      });
    }

    test('a process that exits in a handler takes its connections along', async (t) => {
      const { instance, data } = await start(t);
      await assert.rejects(data.request({ target: '/exit' }));
      assert.equal((await instance.exited).code, 3);
    });

    test('drain: no new streams, the open ones are answered', async (t) => {
      const { instance, data } = await start(t);
      const open = data.request({ target: '/sleep?ms=300' });
      await until(async () => (await instance.control.call('health')).inFlight === 1, 'the request to begin');
      const drained = instance.control.call('drain', { graceMs: 10_000 });
      await data.goaway;
      await assert.rejects(data.request({ target: '/log' }), isReset('draining'));
      assert.equal((await open).body.toString(), 'slept');
      assert.deepEqual(await drained, { left: 0 });
      await instance.control.call('shutdown');
      assert.equal((await instance.exited).code, 0);
    });

    test('drain says how many are left when its time is over', async (t) => {
      const { instance, data } = await start(t);
      data.open({ target: '/hang-deaf' });
      await until(async () => (await instance.control.call('health')).inFlight === 1, 'the request to begin');
      assert.deepEqual(await instance.control.call('drain', { graceMs: 50 }), { left: 1 });
    });

    test('SIGTERM drains and exits 0', async (t) => {
      const { instance, data } = await start(t);
      const open = data.request({ target: '/sleep?ms=300' });
      await until(async () => (await instance.control.call('health')).inFlight === 1, 'the request to begin');
      instance.child.kill('SIGTERM');
      await data.goaway;
      assert.equal((await open).body.toString(), 'slept');
      assert.equal((await instance.exited).code, 0);
    });

    test('SIGTERM ends a hanging request after its grace', async (t) => {
      const { instance, data } = await start(t, everything[runtime], { PETREL_TERM_GRACE_MS: '100' });
      const open = data.request({ target: '/hang-deaf' });
      await until(async () => (await instance.control.call('health')).inFlight === 1, 'the request to begin');
      instance.child.kill('SIGTERM');
      await assert.rejects(open);
      assert.equal((await instance.exited).code, 0);
    });

    test('an instance whose platform is gone ends; one whose platform comes back does not', async (t) => {
      const { instance } = await start(t, everything[runtime], { PETREL_CONTROL_GRACE_MS: '400' });
      instance.control.close();
      const back = await instance.connect('control');
      await new Promise((resolve) => setTimeout(resolve, 800));
      assert.equal((await back.call('health')).state, 'specialised');
      back.close();
      assert.equal((await instance.exited).code, 0);
    });

    test('an instance no platform ever came to ends', async (t) => {
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

    test('a handler that hangs is not hidden by an answer to PING', async (t) => {
      const instance = await Instance.start({ runtime });
      t.after(() => instance.stop());
      const flag = `${instance.dir}/go`;
      const [entry, text] =
        runtime === 'node'
          ? [
              'f.cjs',
              "const fs = require('fs'); module.exports = (q, s) => { while (!fs.existsSync(process.env.GO)); s.end(); };",
            ]
          : [
              'f.py',
              'import os, time\ndef main():\n  while not os.path.exists(os.environ["GO"]): time.sleep(0.01)\n  return ""\n',
            ];
      await instance.specialise({ [entry!]: text! }, { entry, concurrency: 1, env: { GO: flag } });
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

    test('a control connection that breaks in the middle of a call harms nobody', async (t) => {
      const { instance, data } = await start(t);
      const second = await instance.connect('control');
      second.call('drain', { graceMs: 0 }).catch(() => {});
      second.close();
      await until(async () => (await instance.control.call('health')).inFlight === 0, 'an answer');
      await data.goaway;
      assert.equal(instance.child.exitCode, null);
    });
  });
}
