/** One connection to a Redis server: commands are pipelined, and a connection that ended is made again by the next command. */
import { connect, type Socket } from 'node:net';
import { messageOf, PetrelError } from '../../../base/errors.ts';
import { encodeCommand, type Reply, ReplyReader, RespError } from './resp.ts';

/** How long the server may take to answer, ms. */
const ANSWER_LIMIT_MS = 5000;

type Part = string | number | Uint8Array;

export interface RedisConnection {
  /** One command; rejects with `PetrelError` `NotReady` when there is no server, with `RespError` when it says no. */
  send(...parts: Part[]): Promise<Reply>;
  close(): void;
}

/** `redis://[user:password@]host[:port][/database]`, or `rediss://`. Throws `InvalidArgument` for anything else. */
export function redisConnection(text: string): RedisConnection {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^rediss?:$/.test(url.protocol)) {
    throw new PetrelError('InvalidArgument', 'the address of the state backend is not understood', {
      why: 'known is redis://[user:password@]host[:port][/database], and rediss:// for TLS',
      fix: 'correct PETREL_STATE_BACKEND, or leave it out for state on this disk',
    });
  }
  const { protocol, hostname, pathname, username, password } = url;
  const port = Number(url.port || 6379);
  let current: { socket: Socket; waiting: PromiseWithResolvers<Reply>[] } | undefined;
  let closed = false;

  const unreachable = (why: string) =>
    new PetrelError('NotReady', `the Redis server at ${hostname}:${port} gives no answer`, {
      why,
      fix: 'Start it, or correct PETREL_STATE_BACKEND.',
    });

  const open = async () => {
    const waiting: PromiseWithResolvers<Reply>[] = [];
    const socket: Socket =
      protocol === 'rediss:'
        ? (await import('node:tls')).connect({ host: hostname, port, servername: hostname })
        : connect({ host: hostname, port });
    const reader = new ReplyReader();
    const end = (why: string) => {
      if (current?.socket === socket) current = undefined;
      for (const { reject } of waiting.splice(0)) reject(unreachable(why));
      socket.destroy();
    };
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => {
      try {
        for (const reply of reader.push(bytes)) {
          const next = waiting.shift();
          if (reply instanceof RespError) next?.reject(reply);
          else next?.resolve(reply);
        }
        socket.setTimeout(waiting.length > 0 ? ANSWER_LIMIT_MS : 0);
        // Between commands it must not keep the process.
        if (waiting.length === 0) socket.unref();
      } catch (error) {
        end(messageOf(error));
      }
    });
    socket.on('timeout', () => end(`it said nothing for ${ANSWER_LIMIT_MS / 1000} s`));
    socket.on('error', (error) => end(messageOf(error)));
    socket.on('close', () => end('it closed the connection'));
    return { socket, waiting };
  };

  const write = (to: NonNullable<typeof current>, parts: Part[]): Promise<Reply> => {
    const reply = Promise.withResolvers<Reply>();
    to.waiting.push(reply);
    to.socket.ref();
    to.socket.setTimeout(ANSWER_LIMIT_MS);
    to.socket.write(encodeCommand(parts));
    return reply.promise;
  };

  let opening: Promise<NonNullable<typeof current>> | undefined;
  const connected = (): Promise<NonNullable<typeof current>> => {
    opening ??= (async () => {
      const made = await open();
      current = made;
      const user = username === '' ? [] : [decodeURIComponent(username)];
      if (password !== '') await write(made, ['AUTH', ...user, decodeURIComponent(password)]);
      const database = pathname.slice(1);
      if (database !== '') await write(made, ['SELECT', database]);
      return made;
    })().finally(() => {
      opening = undefined;
    });
    return opening;
  };

  return {
    async send(...parts) {
      if (closed) throw unreachable('the platform is stopping');
      // While it is being set up, nothing may come before AUTH and SELECT.
      const to = opening === undefined && current !== undefined ? current : await connected();
      return write(to, parts);
    },
    close() {
      closed = true;
      current?.socket.destroy();
    },
  };
}
