// Answers every request with one line.
import { createServer } from 'node:http';

const server = createServer((_request, response) =>
  response.end('Hello World! How about some tasty noodles?\n'),
);
server.listen(Number(process.env.PORT ?? 8080));
process.once('SIGTERM', () => server.close());
