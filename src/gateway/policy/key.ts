/** What tells clients apart. */
import type { RequestKey } from '../contract.ts';
import { cookieValue, fieldValue, needle } from './lines.ts';

/** Reads the key of a request; one that has none is told by its address. `target` is its path and query. */
export type KeyReader = (out: Buffer, address: string, target: () => string) => string;

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

/** Value of the first query parameter of that name; null when there is none. */
function queryValue(target: string, name: string): string | null {
  const query = target.indexOf('?');
  return query < 0 ? null : new URLSearchParams(target.slice(query + 1)).get(name);
}

/** Values of different sources never collide: each has its own first letter. */
export function keyReader(key: RequestKey | undefined): KeyReader {
  const byAddress: KeyReader = (_, address) => `a${clientNetwork(address)}`;
  if (key?.header !== undefined) {
    const name = needle(key.header);
    return (out, address, target) => {
      const value = fieldValue(out, name);
      return value === null ? byAddress(out, address, target) : `h${value}`;
    };
  }
  if (key?.cookie !== undefined) {
    const name = key.cookie;
    return (out, address, target) => {
      const value = cookieValue(out, name);
      return value === null ? byAddress(out, address, target) : `c${value}`;
    };
  }
  if (key?.queryParameter !== undefined) {
    const name = key.queryParameter;
    return (out, address, target) => {
      const value = queryValue(target(), name);
      return value === null ? byAddress(out, address, target) : `q${value}`;
    };
  }
  return byAddress;
}
