/** The queue of invocations in a process of its own, for tests that kill it: `node queue-process.ts <dir> <port of the functions>`. */
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import { createOutsidePolicy } from '../../src/base/outside.ts';
import { listenUnix } from '../../src/base/unix-server.ts';
import { answering } from '../../src/functions/answering.ts';
import { openEngine } from '../../src/functions/invocations/engine.ts';
import type { FunctionSpec } from '../../src/kinds/function.ts';

const [dir = '', port = ''] = process.argv.slice(2);
const log = createLogger('warn', (line) => process.stderr.write(line));
const spec = { invocation: { backoffSeconds: 0.01, maxAttempts: 1000 } } as FunctionSpec;
const engine = openEngine({
  path: join(dir, 'invocations.db'),
  clock: systemClock,
  random: Math.random,
  log,
  spec: () => spec,
  address: (target) => ({ host: '127.0.0.1', port: Number(port), prefix: `/fn/${target}` }),
  secret: 'secret',
  outside: createOutsidePolicy(() => 0, ['127.0.0.1']),
});
await listenUnix(join(dir, 'accept.sock'), answering(engine.accept, log));
await listenUnix(join(dir, 'status.sock'), answering(engine.status, log));
setInterval(() => {}, 1 << 30); // the sockets alone do not keep it alive
process.stdout.write('ready\n');
