// Sleeps `-sleep <seconds>` and ends, as an init container does; with `-serve` it answers from then on.
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

const args = process.argv.slice(2).map((arg) => arg.replace(/^-(?=[a-z]{2})/, '--'));
const { values } = parseArgs({ args, options: { sleep: { type: 'string' }, serve: { type: 'boolean' } } });
setTimeout(
  () => {
    console.log(`Slept for ${values.sleep ?? 0} s`);
    if (!values.serve) return;
    const server = createServer((_request, response) => response.end('Started at last'));
    server.listen(Number(process.env.PORT ?? 8080));
    process.once('SIGTERM', () => server.close());
  },
  Number(values.sleep ?? 0) * 1000,
);
