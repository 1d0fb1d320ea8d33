#!/usr/bin/env node
// Answers probes, and begins to fail them when it is told to. With the argument `probe` it asks the one that runs already.
// READY_DELAY: not ready so long after the start. LISTEN_DELAY: not listening so long. HEALTHCHECK_PORT: probes come in there.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const HELLO = 'Hello World! How about some tasty noodles?';
const UNITS = { ms: 1, s: 1_000, m: 60_000 };
const { PORT = '8080', READY_DELAY, LISTEN_DELAY, HEALTHCHECK_PORT, FORWARD_PORT } = process.env;

function milliseconds(text) {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  if (!unit) throw new Error(`${text} is no duration`);
  return Number(amount) * UNITS[unit];
}

if (process.argv[2] === 'probe') {
  const answer = await fetch(`http://localhost:${PORT}/healthz/readiness`).catch(() => undefined);
  process.exit(answer?.ok ? 0 : 1);
}

let healthy = !READY_DELAY;
let asked = 0;
if (READY_DELAY) {
  setTimeout(() => {
    healthy = true;
  }, milliseconds(READY_DELAY));
}

const readiness = () => (healthy ? [200, HELLO] : [500, 'not healthy']);
const liveness = () => (healthy ? [200, String(++asked)] : [500, 'not healthy']);
const startFailing = () => {
  healthy = false;
  return [200, 'will now fail readiness'];
};
const startFailingSidecar = async () => {
  const answer = await fetch(`http://localhost:${FORWARD_PORT}/start-failing`);
  return [200, await answer.text()];
};
const probes = { '/readiness': readiness, '/liveness': liveness };
const main = {
  '/start-failing': startFailing,
  '/start-failing-sidecar': startFailingSidecar,
  '/query': (query) => (query.get('probe') === 'ok' ? [200, HELLO] : [500, 'no query']),
  ...(!HEALTHCHECK_PORT && {
    '/healthz/readiness': readiness,
    '/healthz/liveness': liveness,
    '/healthz/livenessCounter': () => [200, String(asked)],
  }),
};

function serve(routes, otherwise, port) {
  const server = createServer(async ({ url }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://localhost');
    const [status, text] = await (routes[pathname] ?? otherwise)(searchParams);
    response.writeHead(status).end(text);
  });
  server.listen(Number(port));
  process.once('SIGTERM', () => server.close());
}

if (LISTEN_DELAY) await sleep(milliseconds(LISTEN_DELAY));
if (HEALTHCHECK_PORT) serve(probes, () => [404, 'no such probe'], HEALTHCHECK_PORT);
serve(main, () => [200, HELLO], PORT);
