/**
 * A debugger's way to the version that answers. The editor has one port for the whole session; each version listens on a port of its own,
 * because the one before still works on its requests.
 */
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { PetrelError } from '../../base/errors.ts';
import type { Runtime, RuntimeDebugger } from '../../kinds/function.ts';

const LOOPBACK = '127.0.0.1';
const LAST_PORT = 65535;

export interface Debugging {
  protocol: string;
  /** What an editor is given. */
  port: number;
  /** The port of the next version. */
  next(): Promise<number>;
  /** That version answers now: whoever is connected to the one before is let go, and comes again. */
  answers(port: number): void;
  /** Whether a line of the log tells of a port that is nobody's business. */
  isNoise(line: string): boolean;
  close(): void;
}

/** Opens `asked`, or the port that the language's tools have by default. Throws `UnsupportedSource`, `InvalidArgument` and `PortInUse`. */
export async function openDebugging(
  runtime: Runtime | undefined,
  asked: number | undefined,
  runtimes: readonly Runtime[],
): Promise<Debugging> {
  if (runtime === undefined)
    throw new PetrelError(
      'UnsupportedSource',
      'there is no debugger for programs that are started by a command',
      {
        why: 'only who starts one knows what it is written in',
        fix: "name its debugger in the command: --command 'node --inspect=9229 server.js', without --debug",
      },
    );
  const { debugger: way, language } = runtime.spec;
  if (way === undefined) {
    const others = runtimes
      .filter(({ spec }) => spec.debugger !== undefined)
      .map(({ spec }) => spec.language);
    throw new PetrelError('UnsupportedSource', `there is no debugger for ${language}`, {
      why: `there are for ${others.sort().join(', ')}`,
      fix: 'leave out --debug',
    });
  }
  const port = asked ?? way.port;
  if (port > LAST_PORT)
    throw new PetrelError('InvalidArgument', `${port} is no port`, {
      why: `ports end at ${LAST_PORT}`,
      fix: 'choose another: --debug=<port>, or 0 for any',
    });
  return way.reversed ? reversed(way, port) : forwarding(way, port);
}

/** The editor listens itself. */
const reversed = ({ protocol }: RuntimeDebugger, port: number): Debugging => ({
  protocol,
  port,
  next: async () => port,
  answers() {},
  isNoise: () => false,
  close() {},
});

async function forwarding({ protocol }: RuntimeDebugger, wanted: number): Promise<Debugging> {
  let target: number | undefined;
  const open = new Set<Socket>();
  /** Who came before the first version answers. */
  const early = new Set<Socket>();
  const forward = (client: Socket, to: number) => {
    const instance = netConnect(to, LOOPBACK);
    for (const [one, other] of [
      [client, instance],
      [instance, client],
    ] as const) {
      open.add(one);
      one.setNoDelay(true);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  };
  const server = createServer((client) => {
    if (target !== undefined) return forward(client, target);
    early.add(client);
    client.on('error', () => {});
    client.on('close', () => early.delete(client));
  });
  await listen(server, wanted);
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : wanted;
  return {
    protocol,
    port,
    next: freePort,
    answers(next) {
      target = next;
      for (const socket of open) socket.destroy();
      for (const client of early) forward(client, next);
      early.clear();
    },
    isNoise: (line) =>
      /^(Debugger listening on |For help, see: https:\/\/nodejs\.org\/|DEBUGGER: Debugger can attach |Stop reason: )/.test(
        line,
      ),
    close() {
      server.close();
      for (const socket of [...open, ...early]) socket.destroy();
    },
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new PetrelError('PortInUse', `no debugger can be let in on port ${port}`, {
          why: error.message,
          fix: 'choose another: --debug=<port>, or 0 for any',
          cause: error,
        }),
      ),
    );
    server.listen(port, LOOPBACK, resolve);
  });
}

/** A port that nobody has at this moment. */
async function freePort(): Promise<number> {
  const server = createServer();
  await listen(server, 0);
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** How one attaches from a terminal, by what is spoken. */
const ATTACH: Record<string, (port: number) => string> = {
  inspector: (port) => `chrome://inspect, or node inspect ${LOOPBACK}:${port}`,
  debugpy: (port) => `an editor that speaks to debugpy, on port ${port}`,
  delve: (port) => `dlv connect ${LOOPBACK}:${port}`,
  jdwp: (port) => `jdb -attach ${LOOPBACK}:${port}`,
  rdbg: (port) => `rdbg --attach ${LOOPBACK} ${port}`,
  xdebug: (port) => `have the editor listen on port ${port}`,
};

/** One line for the person who is to attach. */
export const howToAttach = ({ protocol, port }: Debugging): string =>
  `debugger (${protocol}) on ${LOOPBACK}:${port}: ${ATTACH[protocol]?.(port) ?? 'attach to it'}`;
