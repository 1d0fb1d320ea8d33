/** PostgreSQL with logical replication, one superuser and a database of tests. */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, globSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCertificate } from './certificate.ts';
import { freePorts, listens, type Server, startServer } from './server.ts';

export interface PostgresqlServer extends Server {
  user: string;
  password: string;
  database: string;
  /** The certificate to trust, PEM; the port is the same with and without TLS. */
  ca: string;
}

/** Debian keeps the server's programs out of PATH, one folder for each version. */
const programs = (): string | undefined =>
  globSync('/usr/lib/postgresql/*/bin/initdb')
    .sort((a, b) => b.localeCompare(a, undefined, { numeric: true }))[0]
    ?.slice(0, -'/initdb'.length);

export async function postgresqlServer(password = 'secret'): Promise<PostgresqlServer | string> {
  const bin = programs();
  if (bin === undefined) return 'PostgreSQL is not installed: apt-get install postgresql';
  const [port = 0] = await freePorts(1);
  const user = 'nobody';
  let ca = '';
  const server = await startServer('postgresql', port, (dir) => {
    const root = process.getuid?.() === 0;
    const secret = join(dir, 'password');
    const { cert, certPath, keyPath } = makeCertificate(dir);
    ca = cert;
    writeFileSync(secret, `${password}\n`);
    chmodSync(dir, 0o755);
    if (root) {
      const { stdout } = spawnSync('id', ['-u', user], { encoding: 'utf8' });
      for (const path of [dir, secret, certPath, keyPath]) chownSync(path, Number(stdout), -1);
    }
    const data = join(dir, 'data');
    const args = [
      '-D',
      data,
      '-U',
      'petrel',
      '-A',
      'scram-sha-256',
      `--pwfile=${secret}`,
      '-E',
      'UTF8',
      '--no-sync',
    ];
    const made = root
      ? spawnSync('setpriv', [
          '--reuid',
          user,
          '--regid',
          'nogroup',
          '--clear-groups',
          '--',
          `${bin}/initdb`,
          ...args,
        ])
      : spawnSync(`${bin}/initdb`, args);
    if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
    const settings = {
      wal_level: 'logical',
      ssl: 'on',
      ssl_cert_file: certPath,
      ssl_key_file: keyPath,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_wal_senders: '4',
      max_connections: '30',
      shared_buffers: '16MB',
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    return {
      command: `${bin}/postgres`,
      args: ['-D', data, '-p', String(port), ...options],
      user,
      ready: async () =>
        (await listens(port)) &&
        spawnSync(`${bin}/pg_isready`, ['-q', '-h', '127.0.0.1', '-p', String(port)]).status === 0,
    };
  });
  return Object.assign(server, { user: 'petrel', password, database: 'postgres', ca });
}
