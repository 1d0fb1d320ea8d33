/** Ports for instances that share the machine's network: the one that the template asks for where it is free, else any. */
import { createServer } from 'node:net';

/** Ports below need privileges that no instance has. */
const FIRST_UNPRIVILEGED = 1024;
const ATTEMPTS = 20;

/** Resolves to the port when nothing listens on it, at whatever address; 0 stands for any. Undefined when it is taken. */
function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : undefined));
    });
  });
}

/**
 * Finds a port that is free on this machine and that `isTaken` (ports promised to instances that do not listen yet) does not know.
 * Throws when there is none.
 */
export async function findFreePort(
  wanted: number | undefined,
  isTaken: (port: number) => boolean,
): Promise<number> {
  if (wanted !== undefined && wanted >= FIRST_UNPRIVILEGED && !isTaken(wanted)) {
    if ((await tryPort(wanted)) !== undefined) return wanted;
  }
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = await tryPort(0);
    if (port !== undefined && !isTaken(port)) return port;
  }
  throw new Error('no free port was found on this machine');
}
