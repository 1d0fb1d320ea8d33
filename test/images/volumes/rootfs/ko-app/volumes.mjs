// Writes a file in DATA_PATH and serves it; SKIP_DATA_WRITE and SKIP_DATA_SERVE leave out one half.
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

/** As Go reads booleans. */
const skips = (name) => /^(1|t|true)$/i.test(process.env[name] ?? '');
const file = join(process.env.DATA_PATH ?? '/data', 'testfile');
if (!skips('SKIP_DATA_WRITE')) writeFileSync(file, 'From file in empty dir!');
if (!skips('SKIP_DATA_SERVE')) {
  const server = createServer((_request, response) => {
    try {
      response.end(readFileSync(file));
    } catch (error) {
      response.writeHead(500).end(`${error}\n`);
    }
  });
  server.listen(Number(process.env.PORT ?? 8080));
  process.once('SIGTERM', () => server.close());
}
