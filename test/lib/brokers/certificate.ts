/** A certificate for servers on the loopback address, signed by itself: who trusts it names it as a CA. */
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  certPath: string;
  keyPath: string;
  /** PEM. */
  cert: string;
  key: string;
}

/** Makes one in `dir`. */
export function makeCertificate(dir: string): Certificate {
  const certPath = join(dir, 'server.crt');
  const keyPath = join(dir, 'server.key');
  const args = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
  ];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const { status, stderr } = spawnSync('openssl', [...args, ...names, '-keyout', keyPath, '-out', certPath], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`openssl failed: ${stderr}`);
  chmodSync(keyPath, 0o600);
  return { certPath, keyPath, cert: readFileSync(certPath, 'utf8'), key: readFileSync(keyPath, 'utf8') };
}
