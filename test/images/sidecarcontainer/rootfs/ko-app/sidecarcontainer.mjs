// The neighbour of a serving container: answers with one line at 8882, where it is looked for, or at SIDECAR_PORT. It tells what
// it was given as PORT, which is meant for the serving container alone.
import { createServer } from 'node:http';

const server = createServer(({ url }, response) =>
  response.end(url === '/port' ? String(process.env.PORT) : 'Yay!! multi-container works\n'),
);
server.listen(Number(process.env.SIDECAR_PORT ?? 8882));
process.once('SIGTERM', () => server.close());
