/** TLS as all sources and sinks take it. */
import type { ConnectionOptions } from 'node:tls';
import type { Fields, Read } from './fields.ts';

export const TLS_FIELDS = {
  enabled: { is: 'flag', default: true, what: 'whether TLS is used' },
  caCerts: { is: 'text', what: 'certificates that are trusted besides the machine’s, PEM' },
  cert: { is: 'text', what: 'the client’s certificate, PEM' },
  key: { is: 'text', what: 'the client’s private key, PEM' },
  serverName: { is: 'text', what: 'the name that the server’s certificate must have' },
} as const satisfies Fields;

/** What Node needs of it; undefined: no TLS. */
export function tlsOptions(tls: Read<typeof TLS_FIELDS> | undefined): ConnectionOptions | undefined {
  if (!tls?.enabled) return undefined;
  return {
    ...(tls.caCerts === undefined ? {} : { ca: tls.caCerts }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
  };
}
