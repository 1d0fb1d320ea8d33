/** Addresses as users write them. */
import { PetrelError } from '../base/errors.ts';

export interface Address {
  host: string;
  /** 0 is any free one. */
  port: number;
}

export const DEFAULT_GATEWAY: Address = { host: '127.0.0.1', port: 8080 };
export const DEFAULT_API: Address = { host: '127.0.0.1', port: 7443 };

/** Reads `host:port`, `[v6]:port` or `:port` (loopback). `option` names it in the error. */
export function parseAddress(text: string | undefined, fallback: Address, option: string): Address {
  if (text === undefined) return fallback;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) {
    throw new PetrelError('InvalidArgument', `${option} ${text} is no address`, {
      why: 'an address is host:port with a port from 0 to 65535; port 0 takes any free one',
      fix: `for example ${option} ${formatAddress(fallback)}`,
    });
  }
  return { host: match[1] || match[2] || fallback.host, port };
}

/** `host:port`, with brackets around IPv6. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The error for an address that somebody else listens on, or `error` itself when it is something else. */
export function listenError(error: unknown, address: Address, option: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const text = formatAddress(address);
  if (code === 'EADDRINUSE') {
    return new PetrelError('PortInUse', `${text} is in use`, {
      why: 'another program, maybe another platform, listens there',
      fix: `choose another address with ${option} host:port, or any free port with ${option} :0`,
      cause: error,
    });
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new PetrelError('InvalidArgument', `nothing can listen on ${text}`, {
      why: code === 'EACCES' ? 'this user may not use that port' : 'this machine has no such address',
      fix: `choose another address with ${option} host:port`,
      cause: error,
    });
  }
  return error;
}
