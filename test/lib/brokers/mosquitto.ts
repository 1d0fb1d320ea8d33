/** Mosquitto that keeps sessions and messages on disk. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCertificate } from './certificate.ts';
import { freePorts, installed, type Server, startServer } from './server.ts';

export interface MosquittoServer extends Server {
  url: string;
  /** The port with TLS, and the certificate to trust, PEM. */
  tlsPort: number;
  ca: string;
}

export async function mosquittoServer(auth?: {
  user: string;
  password: string;
}): Promise<MosquittoServer | string> {
  if (!installed('mosquitto')) return 'mosquitto is not installed: apt-get install mosquitto';
  const [port = 0, tlsPort = 0] = await freePorts(2);
  let ca = '';
  const server = await startServer('mosquitto', port, (dir) => {
    const path = join(dir, 'mosquitto.conf');
    const { cert, certPath, keyPath } = makeCertificate(dir);
    ca = cert;
    const lines = [
      `listener ${port} 127.0.0.1`,
      `listener ${tlsPort} 127.0.0.1`,
      `certfile ${certPath}`,
      `keyfile ${keyPath}`,
      'persistence true',
      `persistence_location ${dir}/`,
      'autosave_interval 1',
      'autosave_on_changes true',
      'max_queued_messages 0',
      ...(process.getuid?.() === 0 ? ['user root'] : []),
    ];
    if (auth) {
      const passwords = join(dir, 'passwords');
      spawnSync('mosquitto_passwd', ['-b', '-c', passwords, auth.user, auth.password]);
      lines.push('allow_anonymous false', `password_file ${passwords}`);
    } else lines.push('allow_anonymous true');
    writeFileSync(path, `${lines.join('\n')}\n`);
    return { command: 'mosquitto', args: ['-c', path] };
  });
  return Object.assign(server, { url: `mqtt://127.0.0.1:${port}`, tlsPort, ca });
}
