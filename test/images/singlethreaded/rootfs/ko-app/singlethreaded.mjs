// Takes half a second for each request, and answers 500 where a second one came in meanwhile.
import { createServer } from 'node:http';

let busy = false;
const server = createServer((_request, response) => {
  if (busy) {
    response.writeHead(500).end('two at a time');
    return;
  }
  busy = true;
  setTimeout(() => {
    busy = false;
    response.end('One at a time');
  }, 500);
});
server.listen(Number(process.env.PORT ?? 8080));
process.once('SIGTERM', () => server.close());
