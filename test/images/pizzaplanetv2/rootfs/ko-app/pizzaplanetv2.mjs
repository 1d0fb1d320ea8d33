// Answers every request with one line.
import { createServer } from 'node:http';

const server = createServer((_request, response) =>
  response.end('Re-energize yourself with a slice of pepperoni!'),
);
server.listen(Number(process.env.PORT ?? 8080));
process.once('SIGTERM', () => server.close());
