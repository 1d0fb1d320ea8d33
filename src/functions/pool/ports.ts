/**
 * Ports for programs that listen on `$PORT`. Chosen below the range from which the kernel takes ports for outgoing connections,
 * so that one found free stays free until the program binds it.
 */
import { createServer } from 'node:net';

const FIRST = 20_000;
const LAST = 32_000;

export interface Ports {
  /** A port of 127.0.0.1 that is free and given to nobody else. Rejects when there is none. */
  take(): Promise<number>;
  give(port: number): void;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

export function createPorts(random: () => number): Ports {
  const taken = new Set<number>();
  let next = FIRST + Math.floor(random() * (LAST - FIRST));
  return {
    async take() {
      for (let tries = LAST - FIRST; tries > 0; tries--) {
        const port = next;
        next = port + 1 < LAST ? port + 1 : FIRST;
        if (taken.has(port)) continue;
        taken.add(port);
        if (await isFree(port)) return port;
        taken.delete(port);
      }
      throw new Error(`no port between ${FIRST} and ${LAST} is free`);
    },
    give(port) {
      taken.delete(port);
    },
  };
}
