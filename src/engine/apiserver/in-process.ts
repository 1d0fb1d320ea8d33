/** The API within the process: no socket, no TLS, the same answers. */
import type { KubeTransport } from '../../kube/transport.ts';
import type { User } from './context.ts';
import type { ApiServer } from './server.ts';

/** Requests through it are those of `user`. */
export function inProcessTransport(server: ApiServer, user: User): KubeTransport {
  return {
    async request(request) {
      request.signal?.throwIfAborted();
      return server.handle(request, user);
    },
    close() {},
  };
}
