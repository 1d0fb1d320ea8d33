// Answers with the file of the request's path in the directory /hello, and with the file `world` for the path `/`.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const BASE = '/hello';
const server = createServer(({ url }, response) => {
  // The URL parser leaves no `..` in the path.
  const { pathname } = new URL(url, 'http://localhost');
  try {
    response.end(`${readFileSync(join(BASE, pathname === '/' ? 'world' : pathname), 'utf8')}\n`);
  } catch (error) {
    response.writeHead(500).end(`${error}\n`);
  }
});
server.listen(Number(process.env.PORT ?? 8080));
process.once('SIGTERM', () => server.close());
