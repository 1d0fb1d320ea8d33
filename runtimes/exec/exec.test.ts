/** What only the exec runtime has: its modes, its variables, the end of everything a request has started. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { header, type RequestOptions } from '../contract-tests/client.ts';
import { Instance, until, withoutProgram } from '../contract-tests/instance.ts';

const skip = withoutProgram('bash', 'mkfifo') ?? false;

/** An instance that has loaded one script, and requests to it. */
async function loaded(t: TestContext, script: string, params: Record<string, unknown> = {}) {
  const instance = await Instance.start({ runtime: 'exec' });
  t.after(() => instance.stop());
  const { env, ...rest } = params as { env?: Record<string, string> };
  const result = await instance.specialise(
    { 'fn.sh': script },
    { entry: 'fn.sh', ...rest, ...(env ? { env: { K_SERVICE: 'hello', ...env } } : {}) },
  );
  const data = await instance.connect();
  const ask = (target = '/', options: RequestOptions = {}) => data.request({ target, ...options });
  return { instance, result, data, ask };
}

const alive = (pid: number): boolean => {
  try {
    // A zombie has ended; who its parent is does not matter here.
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

test('a script without a word about its mode answers with its output, whole and typed', {
  skip,
}, async (t) => {
  const { result, ask } = await loaded(t, '#!/bin/sh\nprintf "grüße "\ncat\n');
  assert.equal(result.shape, 'stdio');
  const answer = await ask('/', { method: 'POST', body: 'von stdin' });
  assert.equal(answer.status, 200);
  assert.equal(answer.inline, true);
  assert.equal(header(answer, 'content-type'), 'text/plain; charset=utf-8');
  assert.equal(answer.body.toString(), 'grüße von stdin');
  const bytes = await ask('/', { method: 'POST', body: Buffer.from([0xff, 0xfe, 0]) });
  assert.equal(header(bytes, 'content-type'), 'application/octet-stream');
});

test('content_type is the type of what is written, as of-watchdog has it', { skip }, async (t) => {
  const { ask } = await loaded(t, '#!/bin/sh\necho "{}"\n', { env: { content_type: 'application/json' } });
  assert.equal(header(await ask(), 'content-type'), 'application/json');
});

test('a request in variables: as of-watchdog and as CGI name them', { skip }, async (t) => {
  const { ask } = await loaded(t, '#!/bin/sh\nenv\n');
  const answer = await ask('/a%20b?x=1&y=%2F', {
    method: 'POST',
    body: 'four',
    headers: [
      ['content-type', 'a/b'],
      ['x-two-words', 'value'],
      ['accept', 'a'],
      ['accept', 'b'],
      ['proxy', 'http://attacker.test'],
      ['with_underscore', 'no'],
      ['x-forwarded-proto', 'https'],
    ],
  });
  const env = new Map(
    answer.body
      .toString()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  const expected = {
    Http_Method: 'POST',
    Http_Path: '/a b',
    Http_Query: 'x=1&y=%2F',
    Http_Content_Type: 'a/b',
    Http_X_Two_Words: 'value',
    Http_Accept: 'a',
    Http_Host: 'fn.example.test',
    REQUEST_METHOD: 'POST',
    PATH_INFO: '/a b',
    QUERY_STRING: 'x=1&y=%2F',
    REQUEST_URI: '/a%20b?x=1&y=%2F',
    CONTENT_TYPE: 'a/b',
    HTTP_X_TWO_WORDS: 'value',
    HTTP_ACCEPT: 'a, b',
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_NAME: 'fn.example.test',
    SERVER_PORT: '443',
    HTTPS: 'on',
    REMOTE_ADDR: '192.0.2.7',
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(env.get(name), value, name);
  for (const name of ['HTTP_PROXY', 'Http_Proxy', 'http_proxy', 'HTTP_WITH_UNDERSCORE', 'PETREL_SOCKET'])
    assert.equal(env.has(name), false, name);
});

test('a failure is a 500 with the end of what it said; its output is not the answer', { skip }, async (t) => {
  // Its output leaves it when it ends, all at once.
  const script = `#!/bin/sh\nexec awk 'BEGIN { print "half an answer"; print "no licence" > "/dev/stderr"; exit 3 }'\n`;
  const { ask, instance } = await loaded(t, script);
  const answer = await ask();
  assert.equal(answer.status, 500);
  const { message } = JSON.parse(answer.body.toString());
  assert.match(message, /fn\.sh ended with exit code 3: no licence/);
  await until(() => /failed: fn\.sh ended with exit code 3\n/.test(instance.output), 'the log');
});

test('a program that is ended by a signal is a failure', { skip }, async (t) => {
  const { ask } = await loaded(t, '#!/bin/sh\nkill -SEGV $$\n');
  assert.match(JSON.parse((await ask()).body.toString()).message, /was ended by SIGSEGV/);
});

test('what is cancelled ends with everything it has started', { skip }, async (t) => {
  const { instance, data } = await loaded(
    t,
    '#!/bin/bash\nsleep 1000 &\necho $! $$ > "$HOME/pids"\ntrap "" TERM\nwait\nsleep 1000\n',
  );
  const call = data.open({ target: '/' });
  const file = path.join(instance.dir, 'pids');
  await until(() => fs.existsSync(file) && fs.readFileSync(file, 'utf8').endsWith('\n'), 'the processes');
  const pids = fs.readFileSync(file, 'utf8').trim().split(' ').map(Number);
  assert.deepEqual(pids.map(alive), [true, true]);
  call.reset('timeout');
  await until(() => !pids.some(alive), 'both to end');
});

test('what a request leaves running ends with its answer', { skip }, async (t) => {
  const { ask } = await loaded(t, '#!/bin/sh\nsleep 1000 &\necho $!\n');
  const pid = Number((await ask()).body.toString());
  await until(() => !alive(pid), 'it to end');
});

test('a process that got away holds neither the answer nor the pipes of others', {
  skip: skip || (withoutProgram('setsid') ?? false),
}, async (t) => {
  const { ask, instance } = await loaded(
    t,
    '#!/bin/bash\nif [ "$PATH_INFO" = /away ]; then setsid bash -c \'while :; do sleep 0.01; echo intruder; done\' & echo $! ; else echo own; fi\n',
  );
  const answer = await ask('/away');
  assert.equal(answer.status, 200);
  const pid = Number(answer.body.toString().split('\n')[0]);
  t.after(() => alive(pid) && process.kill(pid, 'SIGKILL'));
  for (let i = 0; i < 8; i++) assert.equal((await ask('/')).body.toString(), 'own\n');
  assert.equal((await instance.control.call('health')).inFlight, 0);
});

test('no more processes than max_inflight, the others wait their turn', { skip }, async (t) => {
  const { ask } = await loaded(
    t,
    '#!/bin/bash\n: > "$HOME/busy.$$"; set -- "$HOME"/busy.*; sleep 0.02; rm "$HOME/busy.$$"; echo $#\n',
    { env: { max_inflight: '2' } },
  );
  const answers = await Promise.all(Array.from({ length: 12 }, () => ask()));
  const most = Math.max(...answers.map(({ body }) => Number(body.toString())));
  assert.ok(most >= 1 && most <= 2, `${most} at once`);
});

const cgi: [title: string, script: string, status: number, says?: RegExp][] = [
  ['no head at all', 'echo no header', 500, /no empty line ends the header lines.*no header/],
  ['nothing', ':', 500, /wrote nothing/],
  ['a line that is no header', 'printf "one two\\n\\n"', 500, /not a header line: "one two"/],
  ['neither type nor status', 'printf "x-a: b\\n\\n"', 500, /neither Content-Type, Status nor Location/],
  ['a status that is none', 'printf "status: 99\\n\\n"', 500, /Status is "99"/],
  ['a status with its reason', 'printf "Status: 404 Not Found\\r\\nContent-Type: a/b\\r\\n\\r\\ngone"', 404],
  ['only a location', 'printf "Location: /elsewhere\\n\\n"', 302],
];
for (const [title, script, status, says] of cgi) {
  test(`CGI: ${title}`, { skip }, async (t) => {
    const { ask } = await loaded(t, `#!/bin/sh\n${script}\n`, { handler: 'cgi' });
    const answer = await ask();
    assert.equal(answer.status, status);
    if (says) assert.match(JSON.parse(answer.body.toString()).message, says);
  });
}

test('executables that are no scripts, and files that cannot be run', { skip }, async (t) => {
  const instance = await Instance.start({ runtime: 'exec' });
  t.after(() => instance.stop());
  const code = instance.package({});
  fs.mkdirSync(code, { recursive: true });
  fs.copyFileSync(fs.realpathSync('/bin/cat'), path.join(code, 'handler'));
  fs.chmodSync(path.join(code, 'handler'), 0o755);
  await instance.specialise({});
  const answer = await (await instance.connect()).request({ method: 'POST', body: 'through cat' });
  assert.equal(answer.body.toString(), 'through cat');
  const other = await Instance.start({ runtime: 'exec' });
  t.after(() => other.stop());
  await assert.rejects(other.specialise({ 'data.txt': 'text' }, { entry: 'data.txt' }), {
    code: 'LoadError',
    message: /neither an executable nor a script/,
  });
});
