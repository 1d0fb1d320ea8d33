// Waits `initialTimeout` ms before the response's head, which is sent at once, and `timeout` ms before its body.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const server = createServer(async ({ url }, response) => {
  const wait = new URL(url, 'http://localhost').searchParams;
  await sleep(Number(wait.get('initialTimeout') ?? 0));
  response.writeHead(200).flushHeaders();
  const rest = Number(wait.get('timeout') ?? 0);
  await sleep(rest);
  response.end(`Slept for ${rest} milliseconds`);
});
server.listen(Number(process.env.PORT ?? 8080));
process.once('SIGTERM', () => server.close());
