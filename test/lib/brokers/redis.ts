/** redis-server that writes each command to disk before it answers. */
import { freePorts, installed, type Server, startServer } from './server.ts';

export interface RedisServer extends Server {
  url: string;
}

export async function redisServer(password?: string): Promise<RedisServer | string> {
  if (!installed('redis-server')) return 'redis-server is not installed: apt-get install redis-server';
  const [port = 0] = await freePorts(1);
  const server = await startServer('redis', port, (dir) => ({
    command: 'redis-server',
    args: [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', 'always'],
      ...(password === undefined ? [] : ['--requirepass', password]),
    ],
  }));
  return Object.assign(server, { url: `redis://127.0.0.1:${port}` });
}
