/** What tells clients apart. */
import type { RequestKey } from '../contract.ts';
import { cookieValue, fieldValue, needle } from './lines.ts';

/** Reads the key of a request; a request without the header or cookie is told by its address. */
export type KeyReader = (out: Buffer, address: string) => string;

/** The first four groups of an IPv6 address: one client commonly has a whole /64. IPv4 addresses stay as they are. */
export function clientNetwork(address: string): string {
  if (!address.includes(':')) return address;
  const bare = address.split('%')[0]!;
  const [head = '', tail] = bare.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...new Array<string>(zeros).fill('0'), ...right]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}

/** Values of different sources never collide: each has its own first letter. */
export function keyReader(key: RequestKey | undefined): KeyReader {
  const byAddress: KeyReader = (_, address) => `a${clientNetwork(address)}`;
  if (key?.header !== undefined) {
    const name = needle(key.header);
    return (out, address) => {
      const value = fieldValue(out, name);
      return value === null ? byAddress(out, address) : `h${value}`;
    };
  }
  if (key?.cookie !== undefined) {
    const name = key.cookie;
    return (out, address) => {
      const value = cookieValue(out, name);
      return value === null ? byAddress(out, address) : `c${value}`;
    };
  }
  return byAddress;
}
