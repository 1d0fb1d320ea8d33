/** Entry of a gateway worker thread: a `Plane`, and the messages that stand for calls to it and from it. */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { forwardingLogger } from '../base/log.ts';
import type { FromWorker, ToWorker, WorkerStart } from './links.ts';
import { Plane } from './plane.ts';

const { worker, limits, identity, port, sent, channel } = workerData as WorkerStart;
const sentCount = new Int32Array(sent);
let received = 0;

function tell(message: FromWorker): void {
  port.postMessage(message);
}

const peers = new BroadcastChannel(channel);

const plane = new Plane({
  worker,
  limits,
  identity,
  log: forwardingLogger((level, message, fields) => tell({ type: 'log', level, message, fields }), {
    worker,
  }),
  events: {
    demand: (key) => tell({ type: 'demand', key }),
    endpointDown: (key, id, reason) => tell({ type: 'down', key, id, reason }),
    released: (row, turn) => tell({ type: 'released', row, turn }),
    keyMissing: (namespace, name) => tell({ type: 'keyMissing', namespace, name }),
    wake: (key) => peers.postMessage(key),
    active: () => tell({ type: 'active' }),
  },
  sync: () => {
    while (received !== Atomics.load(sentCount, 0)) {
      const next = receiveMessageOnPort(port);
      if (next === undefined) return;
      handle(next.message as ToWorker);
    }
  },
});

void plane.deaf.then(() => tell({ type: 'deaf' }));

peers.onmessage = (event: { data: unknown }) => plane.woken(String(event.data));

function handle(message: ToWorker): void {
  received = (received + 1) | 0;
  switch (message.type) {
    case 'listen':
      plane.listen(message.host, message.port, message.reusePort).then(
        (address) => tell({ type: 'listening', ...address }),
        (error: NodeJS.ErrnoException) =>
          tell({ type: 'failed', code: error.code ?? '', message: error.message }),
      );
      break;
    case 'command':
      plane.apply(message.command);
      break;
    case 'wake':
      plane.woken(message.key);
      break;
    case 'collect':
      tell({ type: 'stats', stats: plane.collect() });
      break;
    case 'close':
      void plane.close(message.graceMs, message.gently).then(() => tell({ type: 'closed' }));
      break;
  }
}

port.on('message', handle);
