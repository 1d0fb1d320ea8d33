/** Entry of the engine's thread: an `Engine`, and the messages that stand for calls to it and from it. */
import { randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../base/clock.ts';
import { forwardingLogger } from '../../base/log.ts';
import type { Json } from '../../kinds/object.ts';
import type { EngineReports } from '../model.ts';
import { type Engine, startEngine } from './engine.ts';
import { Calls, type FromEngine, sendable, type ThreadStart, type ToEngine } from './messages.ts';
import type { EngineParts } from './parts.ts';

const { options, parts } = workerData as ThreadStart;
const port = parentPort!;
const tell = (message: FromEngine) => port.postMessage(message);
const log = forwardingLogger((level, message, fields) => tell({ type: 'log', level, message, fields }));

const report =
  (method: keyof EngineReports) =>
  (...input: unknown[]) =>
    tell({ type: 'report', method, input });
const reports: EngineReports = {
  source: report('source'),
  subscription: report('subscription'),
  lag: report('lag'),
  seenType: report('seenType'),
};

const calls = new Calls();
const callMain = (name: string, input: Json) =>
  calls.begin((id) => tell({ type: 'call', id, name, input })) as Promise<Json>;

/** What came before the engine was open. */
const early: ToEngine[] = [];
let engine: Engine | undefined;

function handle(to: Engine, message: ToEngine): void {
  switch (message.type) {
    case 'set':
      // method and spec belong together, see `Setter`
      to[message.method](message.key, message.spec as never);
      break;
    case 'complete':
      to.complete();
      break;
    case 'call': {
      const { id, method, input } = message;
      // method and arguments belong together, see `Call`
      const call = to[method] as (...all: unknown[]) => Promise<unknown>;
      call(...input).then(
        (answer) => tell({ type: 'answer', id, answer }),
        (error) => tell({ type: 'refused', id, error: sendable(error) }),
      );
      break;
    }
    case 'answer':
    case 'refused':
      calls.settle(message);
      break;
    case 'stop':
      to.stop(message.graceMs)
        .catch((error) =>
          log.error('the engine did not stop in order', { error: String(error?.stack ?? error) }),
        )
        .finally(() => tell({ type: 'stopped' }));
      break;
  }
}

port.on('message', (message: ToEngine) => {
  if (engine === undefined) early.push(message);
  else handle(engine, message);
});

try {
  const loaded = (await import(parts)) as { parts: EngineParts };
  const random = Math.random;
  engine = await startEngine({
    options,
    reports,
    parts: loaded.parts,
    clock: systemClock,
    random,
    uuid: randomUUID,
    callMain,
    log,
  });
  for (const message of early.splice(0)) handle(engine, message);
  tell({ type: 'ready' });
} catch (error) {
  tell({ type: 'failed', error: sendable(error) });
  port.close();
}
