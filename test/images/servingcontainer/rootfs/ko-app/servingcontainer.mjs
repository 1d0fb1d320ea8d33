// Answers with what its neighbour in the Pod, at FORWARD_PORT, answers.
import { createServer } from 'node:http';

const server = createServer(async ({ url }, response) => {
  try {
    const answer = await fetch(`http://127.0.0.1:${process.env.FORWARD_PORT}${url}`);
    response.end(await answer.text());
  } catch (error) {
    response.writeHead(502).end(`${error.cause ?? error}\n`);
  }
});
server.listen(Number(process.env.PORT ?? 8080));
process.once('SIGTERM', () => server.close());
