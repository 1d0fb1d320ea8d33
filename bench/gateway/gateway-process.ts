/** The gateway as a process of its own, with one function behind it: `mux:<socket>` or `http1:<port>`. */
import { silentLogger } from '../../src/base/log.ts';
import { startGateway } from '../../src/gateway/gateway.ts';

const [port, upstream] = process.argv.slice(2);
const [kind, where] = upstream!.split(':');
const gateway = await startGateway({
  host: '127.0.0.1',
  port: Number(port),
  workers: 1,
  log: silentLogger,
  events: {
    demand: () => {},
    stats: () => {},
    endpointDown: (_key, id, reason) => console.error('down', id, reason),
  },
});
gateway.setRevision('default/bench-00001', {
  key: 'default/bench-00001',
  containerConcurrency: 0,
  timeoutMs: 300_000,
  maxRequestBytes: 0,
  queueDepth: 10_000,
});
gateway.setRoute('default', 'bench', {
  namespace: 'default',
  name: 'bench',
  hosts: ['127.0.0.1', 'bench.default.localhost'],
  targets: [{ revision: 'default/bench-00001', percent: 100 }],
});
gateway.setEndpoints('default/bench-00001', [
  {
    id: 'one',
    address:
      kind === 'mux'
        ? { kind: 'mux', path: where! }
        : { kind: 'http1', host: '127.0.0.1', port: Number(where) },
  },
]);
console.log('ready');
process.on('SIGTERM', () => process.exit(0));
