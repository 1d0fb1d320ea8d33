/** nats-server with JetStream. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCertificate } from './certificate.ts';
import { freePorts, installed, type Server, startServer } from './server.ts';

export interface NatsServer extends Server {
  url: string;
  /** The certificate to trust, PEM; empty without TLS. */
  ca: string;
  /** Of the monitoring port. */
  monitor: string;
}

/** With a user's name and password when given, with TLS when asked for. */
export async function natsServer(
  auth?: { user: string; password: string },
  tls = false,
): Promise<NatsServer | string> {
  if (!installed('nats-server')) return 'nats-server is not installed: apt-get install nats-server';
  const [port = 0, monitor = 0] = await freePorts(2);
  let ca = '';
  const server = await startServer('nats', port, (dir) => {
    const path = join(dir, 'nats.conf');
    let secure = '';
    if (tls) {
      const { cert, certPath, keyPath } = makeCertificate(dir);
      ca = cert;
      secure = `tls { cert_file: "${certPath}", key_file: "${keyPath}" }`;
    }
    const who = auth ? `authorization { user: ${auth.user}, password: ${auth.password} }` : '';
    writeFileSync(
      path,
      `host: 127.0.0.1\nport: ${port}\nhttp: 127.0.0.1:${monitor}\njetstream { store_dir: "${dir}/data" }\n${who}\n${secure}\n`,
    );
    return { command: 'nats-server', args: ['-c', path] };
  });
  return Object.assign(server, {
    url: `nats://127.0.0.1:${port}`,
    ca,
    monitor: `http://127.0.0.1:${monitor}`,
  });
}
