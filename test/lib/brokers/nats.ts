/** nats-server with JetStream. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, installed, type Server, startServer } from './server.ts';

export interface NatsServer extends Server {
  url: string;
}

/** With a user's name and password when given. */
export async function natsServer(auth?: { user: string; password: string }): Promise<NatsServer | string> {
  if (!installed('nats-server')) return 'nats-server is not installed: apt-get install nats-server';
  const [port = 0] = await freePorts(1);
  const server = await startServer('nats', port, (dir) => {
    const path = join(dir, 'nats.conf');
    const who = auth ? `authorization { user: ${auth.user}, password: ${auth.password} }` : '';
    writeFileSync(path, `host: 127.0.0.1\nport: ${port}\njetstream { store_dir: "${dir}/data" }\n${who}\n`);
    return { command: 'nats-server', args: ['-c', path] };
  });
  return Object.assign(server, { url: `nats://127.0.0.1:${port}` });
}
