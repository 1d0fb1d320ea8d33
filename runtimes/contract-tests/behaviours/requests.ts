/** Requests and answers: everything that they can carry, and what becomes of those that go wrong. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { type Answer, header, type MuxClient, type RequestOptions, WINDOW } from '../client.ts';
import type { Caller } from '../http-client.ts';
import { type Instance, until } from '../instance.ts';
import { inFlight, isReset, loaded, MEGABYTE, pattern, type Suite } from './suite.ts';

export function describeRequests(suite: Suite): void {
  const { language, title, mux, skip, check, framed } = suite;
  const { runtime, transport } = language;

  describe(`${title}: requests`, { skip, concurrency: false }, () => {
    let instance: Instance;
    let data: Caller;
    const ask = (target: string, options: RequestOptions = {}) => data.request({ target, ...options });

    before(async () => {
      ({ instance, data } = await loaded(suite));
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
      // What a program writes is held for a moment only: on a busy machine an answer may be slower than that, not every one of many.
      const once = async (request: () => Promise<Answer>, whole: (answer: Answer) => boolean) => {
        for (let tries = 1; ; tries++) {
          const answer = await request();
          if (whole(answer) || tries === 50) return answer;
        }
      };
      const small = await once(
        () => ask('/log'),
        ({ inline }) => inline,
      );
      assert.equal(small.inline, true);
      const large = await once(
        () => ask('/echo', { method: 'POST', body: pattern(100_000) }),
        (answer) => header(answer, 'content-length') !== undefined,
      );
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
      // On a busy machine the first of a hundred has slept enough before the last has begun: then all sleep longer.
      let most = 0;
      for (let ms = 300; most < 50 && ms <= 5000; ms *= 4) {
        await Promise.all(Array.from({ length: 100 }, () => ask(`/sleep?ms=${ms}`)));
        most = Number((await ask('/most')).body);
      }
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
      // The handler tells of it before it returns.
      await until(async () => (await inFlight(instance)) === 0, 'the request to be over');
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
  });
}
