// An environment of Fission's, written to its contract: generic until it is told what to load, on the port of functions.
// A function of this one is a text file; the name of a function is the line that it answers with.
import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

let answer;
let loads = 0;
const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  if (request.method === 'POST' && request.url === '/v2/specialize') {
    if (answer !== undefined) return response.writeHead(400).end('Not a generic container');
    const { filepath, functionName, FunctionMetadata } = JSON.parse(body);
    try {
      const file = statSync(filepath).isDirectory() ? join(filepath, 'words.txt') : filepath;
      const line = readFileSync(file, 'utf8')
        .split('\n')
        .find((text) => text.startsWith(`${functionName}:`));
      if (line === undefined) throw new Error(`there is no line ${functionName} in ${file}`);
      loads++;
      answer = `${FunctionMetadata.name}${line.slice(functionName.length)}`;
      return response.writeHead(202).end();
    } catch (error) {
      return response.writeHead(500).end(error.message);
    }
  }
  if (answer === undefined) return response.writeHead(500).end('Generic container: no requests supported');
  if (request.url === '/die') process.exit(1);
  response.end(`${answer} ${process.env.MOOD ?? ''} ${loads}`.trim());
});
server.listen(Number(process.env.PORT ?? 8888));
process.once('SIGTERM', () => server.close());
