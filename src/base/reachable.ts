/** Where a program on this machine reaches what listens on `host`: all addresses are no address to connect to. */
export function reachableHost(host: string): string {
  return host === '0.0.0.0' || host === '' ? '127.0.0.1' : host === '::' ? '::1' : host;
}
