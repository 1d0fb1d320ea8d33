/** The address of the gateway: whether it is free, and what is wrong when it is not. */
import { createServer } from 'node:net';
import { PetrelError } from '../base/errors.ts';

/** What to tell a user of a failed listen; other errors come back as they are. */
export function listenError(
  error: NodeJS.ErrnoException,
  { host, port }: { host: string; port: number },
): Error {
  const address = `${host}:${port}`;
  if (error.code === 'EADDRINUSE') {
    return new PetrelError('PortInUse', `the gateway cannot listen on ${address}: the port is in use`, {
      fix: `stop the program that uses it (\`ss -ltnp 'sport = :${port}'\` shows it), or choose another address with --gateway ${host}:0`,
      cause: error,
    });
  }
  if (error.code === 'EACCES' || error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') {
    return new PetrelError('InvalidArgument', `the gateway cannot listen on ${address}: ${error.code}`, {
      why: error.code === 'EACCES' ? 'ports below 1024 need privileges' : 'this machine has no such address',
      fix: 'choose another address with --gateway host:port',
      cause: error,
    });
  }
  return error;
}

/** Whether somebody listens there already; `reusePort` alone would share the port with any program of this user. */
export function probe(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}
