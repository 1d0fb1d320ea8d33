import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { simulatedClock } from '../../base/clock.ts';
import type { Container } from '../../kinds/pod.ts';
import type { RunningContainer } from './drivers/driver.ts';
import { judge, type ProbeState, runProbe, startProbes } from './probes.ts';

const container: Container = { name: 'c', ports: [{ name: 'web', containerPort: 1 }] };

/** A container of which only commands beside it matter. */
const running = (
  exec: RunningContainer['exec'] = async () => ({ exitCode: 0, output: '', timedOut: false }),
): RunningContainer => ({
  id: 'x',
  exited: new Promise(() => {}),
  signal() {},
  kill() {},
  exec,
  addMount: async () => false,
  setLimits: () => false,
  usage: () => undefined,
});

test('a verdict needs as many equal results in a row as the threshold says', () => {
  const thresholds = { successThreshold: 2, failureThreshold: 3 };
  let state: ProbeState = { run: 0, last: undefined };
  const verdicts = [true, true, false, false, true, false, false, false, false].map((ok) => {
    const judged = judge(state, ok, thresholds);
    state = judged.state;
    return judged.verdict;
  });
  assert.deepEqual(verdicts, [
    undefined,
    true,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    false,
    false,
  ]);
});

test('http: 200 to 399 is well, headers are sent, a hang ends at the timeout', async (t) => {
  const seen: string[] = [];
  const server = createHttp((request, response) => {
    seen.push(`${request.url} ${request.headers['x-probe']} ${request.headers['user-agent']}`);
    if (request.url === '/hang') return;
    response.writeHead(Number(request.url?.slice(1)) || 200).end('body');
  }).listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const named = { ...container, ports: [{ name: 'web', containerPort: port }] };
  const get = (path: string) =>
    runProbe(
      named,
      {
        httpGet: { path, port: 'web', httpHeaders: [{ name: 'X-Probe', value: 'yes' }] },
        timeoutSeconds: 0.2,
      },
      running(),
    );
  assert.deepEqual(await get('/200'), { ok: true, message: '' });
  assert.equal((await get('/302')).ok, true);
  assert.deepEqual(await get('/503'), { ok: false, message: 'HTTP probe failed with statuscode: 503' });
  assert.match((await get('/hang')).message, /deadline exceeded/);
  assert.equal(seen[0], '/200 yes kube-probe/1.32');
});

test('tcp: who accepts is well', async () => {
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  assert.equal((await runProbe(container, { tcpSocket: { port } }, running())).ok, true);
  server.close();
  await once(server, 'close');
  assert.match((await runProbe(container, { tcpSocket: { port } }, running())).message, /ECONNREFUSED/);
});

test('exec: the exit code decides, the output is the message', async () => {
  const exec = async () => ({ exitCode: 1, output: 'not yet\n', timedOut: false });
  assert.deepEqual(await runProbe(container, { exec: { command: ['x'] } }, running(exec)), {
    ok: false,
    message: 'not yet',
  });
});

test('grpc: only a service that says it serves is well', async (t) => {
  const server = createHttp2();
  server.on('stream', (stream: ServerHttp2Stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const asked = Buffer.concat(chunks).subarray(7).toString();
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () =>
        stream.sendTrailers({ 'grpc-status': asked === 'unknown' ? '5' : '0' }),
      );
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, asked === 'down' ? 2 : 1]));
    });
  });
  server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ask = (service?: string) => runProbe(container, { grpc: { port, service } }, running());
  assert.deepEqual(await ask(), { ok: true, message: '' });
  assert.deepEqual(await ask('fine'), { ok: true, message: '' });
  assert.match((await ask('down')).message, /NOT_SERVING/);
  assert.match((await ask('unknown')).message, /status 5/);
  assert.match((await runProbe(container, { grpc: { port: 1 } }, running())).message, /ECONNREFUSED/);
});

test('who starts is looked at often, but failures count once a period', async () => {
  const clock = simulatedClock();
  let looks = 0;
  let up = false;
  const exec: RunningContainer['exec'] = async () => {
    looks++;
    return { exitCode: up ? 0 : 1, output: '', timedOut: false };
  };
  const told: string[] = [];
  const probe = { exec: { command: ['x'] }, periodSeconds: 10, failureThreshold: 3 };
  const prober = startProbes({ name: 'c', startupProbe: probe }, running(exec), clock, {
    started: () => told.push('started'),
    ready: () => {},
    unhealthy: (kind) => told.push(`unhealthy ${kind}`),
    failed: () => told.push('failed'),
  });
  await clock.advance(1000);
  assert.ok(looks > 4, `${looks} looks in the first second`);
  assert.deepEqual(told, ['failed']);
  up = true;
  await clock.advance(1000);
  assert.deepEqual(told, ['failed', 'started']);
  prober.stop();

  up = false;
  told.length = 0;
  const other = startProbes({ name: 'c', startupProbe: probe }, running(exec), clock, {
    started: () => told.push('started'),
    ready: () => {},
    unhealthy: (kind) => told.push(`unhealthy ${kind}`),
    failed: () => told.push('failed'),
  });
  await clock.advance(19_000);
  assert.deepEqual(told, ['failed', 'failed']);
  await clock.advance(2000);
  assert.deepEqual(told, ['failed', 'failed', 'failed', 'unhealthy startup']);
  other.stop();
  assert.equal(clock.pending(), 0);
});

test('readiness and liveness wait for the startup probe; a failed liveness probe is told once', async () => {
  const clock = simulatedClock();
  const results = { startup: false, readiness: false, liveness: true };
  const exec: RunningContainer['exec'] = async ([kind]) => ({
    exitCode: results[kind as keyof typeof results] ? 0 : 1,
    output: '',
    timedOut: false,
  });
  const probe = (kind: string) => ({ exec: { command: [kind] }, periodSeconds: 1, failureThreshold: 2 });
  const told: string[] = [];
  const prober = startProbes(
    {
      name: 'c',
      startupProbe: { ...probe('startup'), failureThreshold: 10 },
      readinessProbe: probe('readiness'),
      livenessProbe: probe('liveness'),
    },
    running(exec),
    clock,
    {
      started: () => told.push('started'),
      ready: (ready) => told.push(`ready ${ready}`),
      unhealthy: (kind) => told.push(`unhealthy ${kind}`),
      failed: () => {},
    },
  );
  await clock.advance(3000);
  assert.deepEqual(told, []);
  results.startup = true;
  results.readiness = true;
  await clock.advance(1000);
  assert.deepEqual(told.slice(0, 2), ['started', 'ready true']);
  results.liveness = false;
  await clock.advance(5000);
  assert.equal(told.filter((event) => event === 'unhealthy liveness').length, 1);
  prober.stop();
  assert.equal(clock.pending(), 0);
});
