/** redis-server that writes each command to disk before it answers. */
import { makeCertificate } from './certificate.ts';
import { freePorts, installed, type Server, startServer } from './server.ts';

export interface RedisServer extends Server {
  url: string;
  /** The port with TLS, and the certificate to trust, PEM. */
  tlsPort: number;
  ca: string;
}

export async function redisServer(password?: string): Promise<RedisServer | string> {
  if (!installed('redis-server')) return 'redis-server is not installed: apt-get install redis-server';
  const [port = 0, tlsPort = 0] = await freePorts(2);
  let ca = '';
  const server = await startServer('redis', port, (dir) => {
    const { cert, certPath, keyPath } = makeCertificate(dir);
    ca = cert;
    return {
      command: 'redis-server',
      args: [
        ...['--tls-port', String(tlsPort), '--tls-cert-file', certPath, '--tls-key-file', keyPath],
        ...['--tls-ca-cert-file', certPath, '--tls-auth-clients', 'no'],
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', ''],
        ...['--appendonly', 'yes', '--appendfsync', 'always'],
        ...(password === undefined ? [] : ['--requirepass', password]),
      ],
    };
  });
  return Object.assign(server, { url: `redis://127.0.0.1:${port}`, tlsPort, ca });
}
