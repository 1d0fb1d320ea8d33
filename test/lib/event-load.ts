/** Producers that send events to a Broker without a pause, and know what was acknowledged. */
import { Agent, request } from 'node:http';

export interface EventLoad {
  /** Ids that were answered with 202. */
  readonly acknowledged: ReadonlySet<string>;
  /** The status that the Broker answers with; undefined: nobody answers. */
  send(id: string): Promise<number | undefined>;
  /** Begins with so many producers: each sends one event again and again until it is taken, as a producer does, and then the next. */
  start(producers: number): void;
  /** Resolves when nothing is under way. */
  stop(): Promise<void>;
}

/** `gateway` answers where the platform is now. */
export function eventLoad(gateway: () => string, broker: string): EventLoad {
  const agent = new Agent({ keepAlive: true });
  const acknowledged = new Set<string>();
  let running: Promise<unknown> | undefined;
  let stopped = false;
  let sent = 0;

  const send = async (id: string): Promise<number | undefined> => {
    const status = await new Promise<number | undefined>((resolve) => {
      const outgoing = request(
        `http://${gateway()}/events/broker/${broker}`,
        {
          method: 'POST',
          agent,
          headers: {
            'ce-specversion': '1.0',
            'ce-id': id,
            'ce-source': '/faults',
            'ce-type': 'com.shop.paid',
            'content-length': 200,
          },
        },
        (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode));
          response.on('error', () => resolve(undefined));
        },
      );
      outgoing.on('error', () => resolve(undefined));
      outgoing.end('x'.repeat(200));
    });
    if (status === 202) acknowledged.add(id);
    return status;
  };

  const produce = async () => {
    while (!stopped) {
      const id = String(sent++);
      while ((await send(id)) !== 202 && !stopped) await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  return {
    acknowledged,
    send,
    start(producers) {
      running = Promise.all(Array.from({ length: producers }, produce));
    },
    async stop() {
      stopped = true;
      await running;
      agent.destroy();
    },
  };
}
