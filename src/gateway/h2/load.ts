/**
 * HTTP/2 is loaded with the first connection that speaks it: `node:http2` brings TLS and more with it, about 40 ms
 * and 5 MB that a platform without HTTP/2 never pays. Loaded synchronously, so that nothing has to wait or be undone.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The side towards clients. */
export function loadClientSession(): typeof import('./client-session.ts') {
  return require('./client-session.ts') as typeof import('./client-session.ts');
}

/** The side towards instances. */
export function loadLink(): typeof import('./link.ts') {
  return require('./link.ts') as typeof import('./link.ts');
}
