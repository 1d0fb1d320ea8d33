// Answers HTTP/2 over plain TCP with the protocol, method and path of the request, or with RESPONSE.
import { createServer } from 'node:http2';

const server = createServer((request, response) =>
  response.end(
    process.env.RESPONSE ??
      `proto=HTTP/${request.httpVersion} method=${request.method} path=${request.url}\n`,
  ),
);
server.listen(Number(process.env.PORT ?? 8080));
process.once('SIGTERM', () => server.close());
