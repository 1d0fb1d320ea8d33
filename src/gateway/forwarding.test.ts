/** What of a request reaches the instance, and what of its answer reaches the client. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, get, type Harness, HOST, RawClient, startHarness } from './testing/harness.ts';
import { type MuxInstance, startMuxInstance, type TestStream } from './testing/mux-instance.ts';

let h: Harness;
let instance: MuxInstance;
let last: TestStream;
let answer: (s: TestStream) => void;

before(async () => {
  instance = await startMuxInstance((s) => {
    last = s;
    answer(s);
  });
  h = await startHarness();
  h.endpoints(instance.path);
});
after(async () => {
  await h.gateway.close(0);
  await instance.close();
});

/** Sends bytes on a new connection and reads one response. */
async function ask(
  bytes: string,
  reply: (s: TestStream) => void = (s) => s.respond(200, {}, 'ok'),
  head = false,
) {
  answer = reply;
  const client = new RawClient(h.port);
  const response = await client.send(bytes).response(head);
  client.destroy();
  return response;
}

test('forwarding fields are added', async () => {
  const r = await ask(get());
  assert.equal(last.headers['x-forwarded-for'], '127.0.0.1');
  assert.equal(last.headers['x-forwarded-proto'], 'http');
  assert.equal(last.headers['x-forwarded-host'], HOST);
  assert.equal(last.headers.forwarded, `for=127.0.0.1;host="${HOST}";proto=http`);
  assert.equal(last.headers['x-request-id'], r.headers['x-request-id']);
  assert.match(last.headers.traceparent!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  assert.ok(last.headers.traceparent!.includes(r.headers['x-request-id']!));
});

test('forwarding fields are extended', async () => {
  const more =
    'X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.8\r\nForwarded: for=192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n';
  await ask(get('/', more));
  assert.equal(last.headers['x-forwarded-for'], '192.0.2.7, 192.0.2.8, 127.0.0.1');
  assert.equal(last.headers.forwarded, `for=192.0.2.7, for=127.0.0.1;host="${HOST}";proto=http`);
  assert.equal(last.headers['x-forwarded-proto'], 'https');
  assert.equal(last.headers['x-forwarded-host'], 'shop.example');
});

test('hop-by-hop fields and those named by Connection are removed, essential ones are not', async () => {
  const more = `Connection: keep-alive, X-Secret, content-length, host\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: y\r\nTE: trailers\r\nX-Secret: z\r\nX-Kept: k\r\n`;
  await ask(get('/', more));
  for (const name of [
    'connection',
    'keep-alive',
    'proxy-connection',
    'proxy-authorization',
    'te',
    'x-secret',
  ]) {
    assert.ok(!(name in last.headers), name);
  }
  assert.equal(last.headers['x-kept'], 'k');
  assert.equal(last.headers.host, HOST);
});

test('hop-by-hop fields of a response and those named by Connection are removed', async () => {
  const headers = {
    connection: 'close, x-hop',
    'keep-alive': '5',
    'transfer-encoding': 'chunked',
    'x-hop': '1',
    upgrade: 'x',
    'X-Kept': 'k',
    'x-request-id': 'theirs',
  };
  const r = await ask(get(), (s) => s.respond(200, headers, 'body'));
  assert.deepEqual(Object.keys(r.headers).sort(), ['content-length', 'date', 'x-kept', 'x-request-id']);
  assert.notEqual(r.headers['x-request-id'], 'theirs');
  assert.equal(r.body, 'body');
});

test('a request id and a trace context of the client are honoured when they are valid', async () => {
  const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const r = await ask(get('/', `X-Request-Id: mine-1\r\ntraceparent: ${trace}\r\ntracestate: a=b\r\n`));
  assert.equal(r.headers['x-request-id'], 'mine-1');
  assert.equal(last.headers['x-request-id'], 'mine-1');
  assert.equal(last.headers.traceparent, trace);
  assert.equal(last.headers.tracestate, 'a=b');
});

for (const [what, id] of [
  ['too long', 'a'.repeat(193)],
  ['with a space', 'a b'],
  ['empty', ''],
  ['not ASCII', 'caf\xe9'],
  ['twice', 'a\r\nX-Request-Id: b'],
]) {
  test(`a request id that is ${what} is replaced`, async () => {
    const r = await ask(get('/', `X-Request-Id: ${id}\r\n`));
    assert.match(r.headers['x-request-id']!, /^[0-9a-f]{32}$/);
    assert.equal(last.headers['x-request-id'], r.headers['x-request-id']);
    assert.equal(last.head.match(/x-request-id/gi)?.length, 1);
  });
}

test('an invalid trace context is replaced and its state dropped', async () => {
  await ask(
    get('/', 'traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\ntracestate: a=b\r\n'),
  );
  assert.match(last.headers.traceparent!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  assert.equal(last.headers.tracestate, undefined);
});

test('a request id of the client without a trace context gets one', async () => {
  await ask(get('/', 'X-Request-Id: mine\r\n'));
  assert.match(last.headers.traceparent!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
});

test('a repeated header block gives the same request, with ids of its own', async () => {
  answer = (s) => s.respond(200, {}, 'ok');
  const client = new RawClient(h.port);
  const ids = new Set<string>();
  const heads = new Set<string>();
  for (let i = 0; i < 4; i++) {
    const r = await client.send(get(`/n${i}`, 'Cookie: a\r\n')).response();
    ids.add(r.headers['x-request-id']!);
    assert.equal(last.target, `/n${i}`);
    assert.equal(last.headers['x-request-id'], r.headers['x-request-id']);
    heads.add(
      last.head
        .replace(/^.*\r\n/, '')
        .replaceAll(r.headers['x-request-id']!, '?')
        .replace(/-[0-9a-f]{16}-/, '-'),
    );
  }
  assert.equal(ids.size, 4);
  assert.equal(heads.size, 1);
  await client.send(get('/other', 'Cookie: b\r\n')).response();
  assert.equal(last.headers.cookie, 'b');
  client.destroy();
});

test('absolute form: its authority replaces Host, its path is the target', async () => {
  await ask(`GET http://${HOST}:99/p?q HTTP/1.1\r\nHost: other.example\r\n\r\n`);
  assert.equal(last.target, '/p?q');
  assert.equal(last.headers.host, `${HOST}:99`);
  await ask(`GET http://${HOST}?q HTTP/1.1\r\nHost: other.example\r\n\r\n`);
  assert.equal(last.target, '/?q');
});

test('routes by path without DNS, prefix taken off and told', async () => {
  for (const [path, target] of [
    ['/fn/default/hello/a/b?c', '/a/b?c'],
    ['/fn/default/hello', '/'],
    ['/fn/default/hello?x=1', '/?x=1'],
    ['/fn/default/hello/', '/'],
  ]) {
    await ask(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n`);
    assert.equal(last.target, target);
    assert.equal(last.headers['x-forwarded-prefix'], '/fn/default/hello');
  }
  // on a bound host the path is the function's own
  await ask(get('/fn/default/hello/a'));
  assert.equal(last.target, '/fn/default/hello/a');
  assert.equal(last.headers['x-forwarded-prefix'], undefined);
});

test('unknown hosts and functions are 404 in JSON', async () => {
  for (const path of ['/', '/fn/default/nothing/', '/fn/default', '/fn/UPPER/hello/', '/fn/default/hellox']) {
    const r = await ask(`GET ${path} HTTP/1.1\r\nHost: nobody.example\r\n\r\n`);
    assert.equal(r.status, 404);
    assert.equal(r.headers['content-type'], 'application/json');
    const body = JSON.parse(r.body) as Record<string, string>;
    assert.equal(body.reason, 'no_route');
    assert.equal(body.component, 'gateway');
    assert.equal(body.requestId, r.headers['x-request-id']);
    assert.match(body.message!, /petrel list/);
  }
});

test('health is answered on hosts that are not bound', async () => {
  assert.equal((await ask('GET /_petrel/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')).status, 200);
  await ask(get('/_petrel/healthz'));
  assert.equal(last.target, '/_petrel/healthz');
});

test('OPTIONS * is answered by the gateway', async () => {
  assert.equal((await ask(`OPTIONS * HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)).status, 204);
});

test('HEAD gets the head only', async () => {
  const client = new RawClient(h.port);
  answer = (s) => s.respond(200, { 'content-length': '5' }, '');
  const head = `HEAD / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
  const r = await client.send(head).response(true);
  assert.equal(r.headers['content-length'], '5');
  answer = (s) => s.respond(200, {}, 'wrongly a body');
  assert.equal((await client.send(head).response(true)).headers['content-length'], '14');
  answer = (s) => {
    s.begin(200, { 'content-length': '3' });
    s.data('abc');
    s.end();
  };
  assert.equal((await client.send(head).response(true)).headers['content-length'], '3');
  answer = (s) => s.respond(200, {}, 'next');
  assert.equal((await client.send(get()).response()).body, 'next');
  // a failure as well
  const failed = await client.send('HEAD / HTTP/1.1\r\nHost: nobody\r\n\r\n').response(true);
  assert.equal(failed.status, 404);
  answer = (s) => s.respond(200, {}, 'next');
  assert.equal((await client.send(get()).response()).body, 'next');
  client.destroy();
});

test('204 and 304 have no body and no invented length', async () => {
  const client = new RawClient(h.port);
  for (const status of [204, 304]) {
    answer = (s) => s.respond(status, {}, 'x');
    const r = await client.send(get()).response();
    assert.equal(r.status, status);
    if (status === 204) assert.equal(r.headers['content-length'], undefined);
    answer = (s) => {
      s.begin(status);
      s.end();
    };
    assert.equal((await client.send(get()).response()).status, status);
  }
  answer = (s) => s.respond(200, {}, 'after');
  assert.equal((await client.send(get()).response()).body, 'after');
  client.destroy();
});

test('HTTP/1.0: closed unless kept alive, streams delimited by the end', async () => {
  answer = (s) => s.respond(200, {}, 'ok');
  const one = new RawClient(h.port);
  const r = await one.send(`GET / HTTP/1.0\r\nHost: ${HOST}\r\n\r\n`).response();
  assert.equal(r.headers.connection, 'close');
  await one.end();
  const kept = new RawClient(h.port);
  for (let i = 0; i < 2; i++) {
    const k = await kept.send(`GET / HTTP/1.0\r\nHost: ${HOST}\r\nConnection: keep-alive\r\n\r\n`).response();
    assert.equal(k.headers.connection, 'keep-alive');
  }
  answer = (s) => {
    s.begin(200);
    s.data('str');
    s.data('eam');
    s.end('x: y\r\n');
  };
  const stream = await kept
    .send(`GET / HTTP/1.0\r\nHost: ${HOST}\r\nConnection: keep-alive\r\n\r\n`)
    .response();
  assert.equal(stream.headers['transfer-encoding'], undefined);
  assert.equal(stream.body, 'stream');
});

test('Connection: close is obeyed and said', async () => {
  answer = (s) => s.respond(200, {}, 'ok');
  const client = new RawClient(h.port);
  const r = await client.send(get('/', 'Connection: close\r\n')).response();
  assert.equal(r.headers.connection, 'close');
  await client.end();
});

test('trailers pass both ways, forbidden ones do not', async () => {
  const body = `3\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: evil\r\n\r\n`;
  const r = await ask(
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
    (s) => {
      s.onEnd = () => {
        s.begin(200);
        s.data('x');
        s.end('X-Back: 2\r\ntransfer-encoding: chunked\r\n');
      };
    },
  );
  assert.equal(last.trailers, 'x-sum: 1\r\n');
  assert.equal(r.trailers, 'x-back: 2\n');
});

test('100-continue: sent when the body is wanted, not otherwise', async () => {
  const bytes = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n`;
  answer = (s) => {
    s.onEnd = () => s.respond(200, {}, s.body);
  };
  const client = new RawClient(h.port);
  assert.equal((await client.send(bytes).response()).status, 100);
  assert.equal(last.headers.expect, undefined);
  assert.equal((await client.send('abc').response()).body, 'abc');
  // the body comes with the head: no interim response
  assert.equal((await client.send(`${bytes}abc`).response()).status, 200);
  client.destroy();
  const refused = new RawClient(h.port);
  const r = await refused.send(bytes.replace(HOST, 'nobody')).response();
  assert.equal(r.status, 404);
  assert.equal(r.headers.connection, 'close');
  await refused.end();
});

test('pipelined requests are answered in order, one after the other', async () => {
  const open: TestStream[] = [];
  answer = (s) => {
    open.push(s);
  };
  const client = new RawClient(h.port);
  client.send(get('/1') + get('/2') + get('/3'));
  for (const path of ['/1', '/2', '/3']) {
    await eventually(() => open.length > 0);
    assert.equal(open.length, 1);
    const s = open.pop()!;
    assert.equal(s.target, path);
    s.respond(200, {}, path);
    assert.equal((await client.response()).body, path);
  }
  client.destroy();
});

test('a body nobody reads is discarded up to a limit, then the connection closes', async () => {
  answer = (s) => s.respond(200, {}, 'early');
  const client = new RawClient(h.port);
  client.send(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 1000\r\n\r\n`);
  assert.equal((await client.response()).body, 'early');
  client.send('x'.repeat(1000));
  assert.equal((await client.send(get()).response()).body, 'early');
  client.send(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 10000000\r\n\r\n`);
  await client.response();
  client.send('x'.repeat(400_000));
  await client.end();
  client.destroy();
});

test('server-sent events pass as they come', async () => {
  let stream: TestStream | undefined;
  answer = (s) => {
    stream = s;
    s.begin(200, { 'content-type': 'text/event-stream' });
    s.data('data: 1\n\n');
  };
  const client = new RawClient(h.port).send(get());
  assert.equal((await client.head()).headers['transfer-encoding'], 'chunked');
  assert.equal(await client.take(14), '9\r\ndata: 1\n\n\r\n');
  stream!.data('data: 2\n\n');
  assert.equal(await client.take(14), '9\r\ndata: 2\n\n\r\n');
  stream!.end();
  assert.equal(await client.take(5), '0\r\n\r\n');
  client.destroy();
});

test('a WebSocket-like upgrade carries bytes both ways, and both ends close', async () => {
  answer = (s) => {
    s.begin(101, { upgrade: 'websocket', 'sec-websocket-accept': 'x' });
    s.onData = (chunk) => s.data(`<${chunk.toString()}>`);
    s.onEnd = () => s.end();
  };
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n';
  const client = new RawClient(h.port).send(get('/ws', upgrade));
  const head = await client.head();
  assert.equal(head.status, 101);
  assert.equal(head.headers.upgrade, 'websocket');
  assert.equal(head.headers.connection, 'upgrade');
  assert.equal(head.headers['content-length'], undefined);
  assert.match(last.head, /\r\nconnection: upgrade\r\nupgrade: websocket\r\n/);
  client.send('one');
  assert.equal(await client.take(5), '<one>');
  client.send('two');
  assert.equal(await client.take(5), '<two>');
  client.socket.end();
  await client.end();
  assert.ok(last.ended);
});

test('a refused upgrade is an ordinary answer on a connection that goes on', async () => {
  answer = (s) => {
    s.begin(426);
    s.data('no');
    s.end();
  };
  const client = new RawClient(h.port).send(get('/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'));
  assert.equal((await client.response()).body, 'no');
  answer = (s) => s.respond(200, {}, 'ok');
  assert.equal(
    (await client.send(get('/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')).response()).body,
    'ok',
  );
  assert.equal((await client.send(get()).response()).body, 'ok');
  client.destroy();
});

test('a body over the limit is 413 whether announced or not', async () => {
  h.revision({ maxRequestBytes: 10 });
  const announced = await ask(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 11\r\n\r\n`);
  assert.equal(announced.status, 413);
  let reset = '';
  const chunked = await ask(
    `POST / HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n`,
    (s) => {
      s.onReset = (code) => {
        reset = code;
      };
    },
  );
  assert.equal(chunked.status, 413);
  assert.equal((JSON.parse(chunked.body) as { reason: string }).reason, 'body_too_large');
  await eventually(() => reset === 'cancelled');
  const fits = await ask(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 10\r\n\r\n0123456789`);
  assert.equal(fits.status, 200);

  h.revision();
});
