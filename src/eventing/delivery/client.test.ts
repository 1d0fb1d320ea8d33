import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { createServer as createTls } from 'node:tls';
import { createServer as createHttp } from '../../base/http.ts';
import { type Client, createClient, type Result } from './client.ts';
import type { Address } from './connection.ts';

/** A server that does with each connection what the test says; its address. */
async function serve(t: TestContext, each: (socket: Socket, count: number) => void): Promise<Address> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    each(socket, ++count);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return addressOf(server);
}

const addressOf = (server: { address(): unknown }): Address => ({
  host: '127.0.0.1',
  port: (server.address() as { port: number }).port,
});

const HEAD = 'POST / HTTP/1.1\r\nhost: x\r\n';
const clientFor = (t: TestContext): Client => {
  const client = createClient();
  t.after(() => client.close());
  return client;
};
const post = (client: Client, to: Address | Address[], body = 'hello', timeoutMs = 5000): Promise<Result> =>
  client.send([to].flat(), { head: HEAD, body: Buffer.from(body) }, timeoutMs);

/** Answers each request with these bytes, once it has all of it. */
const answering = (bytes: string | Buffer) => (socket: Socket) => {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    if (!text.endsWith('hello')) return;
    text = '';
    socket.write(bytes);
  });
};
const answered = (result: Result) => {
  assert.ok('answer' in result, JSON.stringify(result));
  return result.answer;
};
const failed = (result: Result) => {
  assert.ok('failure' in result, JSON.stringify(result));
  return result;
};

test('a request arrives whole, on one connection after the other', async (t) => {
  const seen: string[] = [];
  let connections = 0;
  const server = createHttp((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      seen.push(`${request.method} ${request.url} ${request.headers['x-a']} ${body.length}`);
      response.writeHead(200, { 'X-Answer': 'Yes', 'content-type': 'text/plain' }).end(`got ${body.length}`);
    });
  });
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const client = clientFor(t);
  for (const size of [0, 10, 100_000, 3_000_000]) {
    const message = {
      head: 'POST /p?q=1 HTTP/1.1\r\nhost: x\r\nx-a: b\r\n',
      body: size ? Buffer.alloc(size, 97) : undefined,
    };
    const answer = answered(await client.send([addressOf(server)], message, 5000));
    assert.equal(answer.status, 200);
    assert.equal(answer.body.toString(), `got ${size}`);
    assert.equal(answer.headers[answer.headers.indexOf('x-answer') + 1], 'Yes');
  }
  assert.deepEqual(seen, [
    'POST /p?q=1 b 0',
    'POST /p?q=1 b 10',
    'POST /p?q=1 b 100000',
    'POST /p?q=1 b 3000000',
  ]);
  assert.equal(connections, 1);
  client.close();
  server.closeAllConnections();
});

/** Answers as they may come, and what they are; each also byte by byte. */
const GOOD: [name: string, bytes: string, status: number, body: string][] = [
  ['a length', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok', 200, 'ok'],
  [
    'chunks',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n3;x=y\r\nay!\r\n0\r\nx-t: 1\r\n\r\n',
    200,
    'okay!',
  ],
  ['no body with 204', 'HTTP/1.1 204 No Content\r\n\r\n', 204, ''],
  [
    'interim answers first',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 202 A\r\ncontent-length: 0\r\n\r\n',
    202,
    '',
  ],
  ['no reason phrase', 'HTTP/1.1 500 \r\ncontent-length: 1\r\n\r\n!', 500, '!'],
];
for (const [name, bytes, status, body] of GOOD)
  for (const slowly of [false, true])
    test(`reads an answer with ${name}${slowly ? ', byte by byte' : ''}`, async (t) => {
      const address = await serve(t, (socket) =>
        socket.on('data', async (chunk) => {
          if (!chunk.toString().endsWith('hello')) return;
          if (!slowly) return void socket.write(bytes);
          for (const byte of Buffer.from(bytes)) {
            socket.write(Buffer.of(byte));
            await new Promise((resolve) => setImmediate(resolve));
          }
        }),
      );
      const client = clientFor(t);
      for (let i = 0; i < 2; i++) {
        const answer = answered(await post(client, address));
        assert.deepEqual([answer.status, answer.body.toString()], [status, body]);
      }
      assert.equal(client.connections, 1);
    });

test('an answer without length ends with the connection', async (t) => {
  const address = await serve(t, (socket) =>
    socket.on('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nall of it')),
  );
  const client = clientFor(t);
  assert.equal(answered(await post(client, address)).body.toString(), 'all of it');
});

test('connection: close is done as it says', async (t) => {
  let count = 0;
  const address = await serve(t, (socket) => {
    count++;
    answering('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')(socket);
  });
  const client = clientFor(t);
  await post(client, address);
  await post(client, address);
  assert.equal(count, 2);
});

const GARBAGE: [name: string, bytes: string][] = [
  ['another protocol', 'SSH-2.0-OpenSSH_9.9\r\n'],
  ['a version nobody speaks', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['a status that is none', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a field without colon', 'HTTP/1.1 200 OK\r\nabc\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
  [
    'a length and chunks',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['an unknown coding', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n'],
  ['a chunk size that is none', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
  ['an upgrade', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n'],
  ['a head without end', `HTTP/1.1 200 OK\r\n${'x-y: aaaaaaaaaaaaaaaa\r\n'.repeat(5000)}`],
  ['endless interim answers', 'HTTP/1.1 102 P\r\n\r\n'.repeat(100)],
];
for (const [name, bytes] of GARBAGE)
  test(`refuses ${name}`, async (t) => {
    const address = await serve(t, answering(bytes));
    const client = clientFor(t);
    const { failure, message } = failed(await post(client, address));
    assert.equal(failure, 'broken');
    assert.match(message, /not HTTP\/1\.1/);
  });

test('bytes behind an answer do not become the next one', async (t) => {
  let count = 0;
  const two = 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2';
  const address = await serve(t, (socket) => {
    count++;
    answering(two)(socket);
  });
  const client = clientFor(t);
  for (let i = 0; i < 2; i++) assert.equal(answered(await post(client, address)).body.toString(), '1');
  assert.equal(count, 2);
});

test('an answer larger than a mebibyte is cut, and its connection is given up', async (t) => {
  for (const head of ['content-length: 30000000', 'transfer-encoding: chunked']) {
    const chunked = head.startsWith('t');
    const part = Buffer.alloc(100_000, 97);
    const address = await serve(t, (socket) =>
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`);
        const more = () => {
          if (socket.destroyed) return;
          if (chunked) socket.write('186a0\r\n');
          if (socket.write(part)) setImmediate(more);
          else socket.once('drain', more);
          if (chunked) socket.write('\r\n');
        };
        more();
      }),
    );
    const client = clientFor(t);
    const answer = answered(await post(client, address));
    assert.equal(answer.truncated, true);
    assert.equal(answer.body.length, 1024 * 1024);
  }
});

test('of an answer that only refuses, the beginning is kept', async (t) => {
  const address = await serve(
    t,
    answering(`HTTP/1.1 500 No\r\ncontent-length: 50000\r\n\r\n${'n'.repeat(50_000)}`),
  );
  const client = clientFor(t);
  const answer = answered(await post(client, address));
  assert.deepEqual([answer.status, answer.truncated, answer.body.length], [500, true, 16_384]);
});

test('bodies that come to no end together hold a bounded amount of memory', async (t) => {
  // Each is short of its end by a byte.
  const part = Buffer.alloc(1024 * 1024 - 1, 97);
  const head = 'HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n';
  const address = await serve(t, answering(Buffer.concat([Buffer.from(head), part])));
  const client = clientFor(t);
  const sent = Array.from({ length: 80 }, () => post(client, address, 'hello', 60_000));
  // Of 80 MiB there is room for 64: the others are cut, and are the first to end.
  const first = answered(await Promise.race(sent));
  assert.equal(first.truncated, true);
  client.close();
  const ends = await Promise.all(sent);
  assert.ok(ends.filter((end) => 'answer' in end).length < 40);
});

test('a server that hangs costs its time and no more', async (t) => {
  const hanging = await serve(t, () => {});
  const client = clientFor(t);
  assert.equal(failed(await post(client, hanging, 'hello', 30)).failure, 'timeout');
  const half = await serve(t, answering('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhal'));
  assert.equal(failed(await post(client, half, 'hello', 30)).failure, 'timeout');
});

test('nobody there, and the connection broken in the answer', async (t) => {
  const client = clientFor(t);
  const gone = await new Promise<Address>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = addressOf(server);
      server.close(() => resolve(address));
    });
  });
  const refused = failed(await post(client, gone));
  assert.equal(refused.failure, 'connect');
  assert.match(refused.message, /ECONNREFUSED/);
  const broken = await serve(t, (socket) =>
    socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhal')),
  );
  assert.equal(failed(await post(client, broken)).failure, 'broken');
  const nameless = failed(await post(client, { host: 'nobody.invalid', port: 80 }));
  assert.equal(nameless.failure, 'connect');
});

test('of several addresses the others are asked when one refuses, and it is left alone for a while', async (t) => {
  const counts = [0, 0];
  const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
  const counting = (i: number) => (socket: Socket) => {
    socket.on('data', () => {
      counts[i]!++;
      socket.write(ok);
    });
  };
  const one = await serve(t, counting(0));
  const two = await serve(t, counting(1));
  const gone: Address = { host: '127.0.0.1', port: 1 };
  const client = clientFor(t);
  for (let i = 0; i < 20; i++) answered(await post(client, [gone, one, two]));
  assert.equal(counts[0]! + counts[1]!, 20);
  assert.ok(counts[0]! >= 5 && counts[1]! >= 5, String(counts));
});

test('a busy address gets less than an idle one', async (t) => {
  const held: Socket[] = [];
  const slow = await serve(t, (socket) => socket.on('data', () => held.push(socket)));
  let quick = 0;
  const fast = await serve(t, (socket) =>
    socket.on('data', () => {
      quick++;
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    }),
  );
  const client = clientFor(t);
  const first = post(client, [slow]);
  const others = [];
  for (let i = 0; i < 10; i++) others.push(answered(await post(client, [slow, fast])));
  assert.equal(quick, 10);
  client.close();
  assert.equal(failed(await first).failure, 'broken');
});

test('a request can be given up', async (t) => {
  const hanging = await serve(t, () => {});
  const client = clientFor(t);
  const abort = new AbortController();
  const sent = client.send([hanging], { head: HEAD, body: undefined }, 5000, abort.signal);
  abort.abort();
  assert.equal(failed(await sent).failure, 'aborted');
});

test('kept connections are closed when nobody needs them, and nothing is left', async (t) => {
  const address = await serve(
    t,
    answering('HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 0\r\n\r\n'),
  );
  const client = clientFor(t);
  answered(await post(client, address));
  // timeout=1 less a second's margin is no time at all.
  while (client.connections > 0) await new Promise((resolve) => setTimeout(resolve, 5));
});

test('https: the certificate is held against the name and the authority', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-tls-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  try {
    const request = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=sink.test';
    const names = ['-addext', 'subjectAltName=DNS:sink.test,IP:127.0.0.1', '-keyout', key, '-out', cert];
    execFileSync('openssl', ['req', ...request.split(' '), ...names], { stdio: 'ignore' });
  } catch {
    return t.skip('openssl is not there');
  }
  const ca = readFileSync(cert, 'utf8');
  const server = createTls({ key: readFileSync(key), cert: ca }, (socket) => {
    socket.on('error', () => {});
    answering('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsafe')(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const client = clientFor(t);
  const tls = (servername: string, authority?: string): Address => ({
    ...addressOf(server),
    tls: { servername, ...(authority && { ca: authority }) },
  });
  for (let i = 0; i < 2; i++)
    assert.equal(answered(await post(client, tls('sink.test', ca))).body.toString(), 'safe');
  assert.equal(client.connections, 1);
  const untrusted = failed(await post(client, tls('sink.test')));
  assert.equal(untrusted.failure, 'connect');
  const wrongName = failed(await post(client, tls('other.test', ca)));
  assert.equal(wrongName.failure, 'connect');
  assert.match(wrongName.message, /other\.test/);
  // An address may stand in a certificate, too.
  assert.equal(answered(await post(client, tls('127.0.0.1', ca))).body.toString(), 'safe');
});
