// Sends every request on to TARGET_HOST, by way of GATEWAY_HOST where that is given, with the target's name as Host.
import { createServer, request } from 'node:http';

const { TARGET_HOST, GATEWAY_HOST } = process.env;
if (!TARGET_HOST) throw new Error('TARGET_HOST is not set');
const [hostname, port = '80'] = (GATEWAY_HOST || TARGET_HOST).split(':');

const server = createServer((incoming, outgoing) => {
  const { connection: _connection, ...headers } = incoming.headers;
  const onward = request(
    {
      hostname,
      port: Number(port),
      path: incoming.url,
      method: incoming.method,
      headers: { ...headers, host: TARGET_HOST },
    },
    (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    },
  );
  onward.on('error', (error) => outgoing.writeHead(502).end(`${error.message}\n`));
  incoming.pipe(onward);
});
server.listen(Number(process.env.PORT ?? 8080));
process.once('SIGTERM', () => server.close());
