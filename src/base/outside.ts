/**
 * Which addresses this platform sends requests to when somebody it does not trust names them: those that everybody can reach, its own
 * gateway, and what the operator allows. Names are judged by what they resolve to when the connection is made.
 */
import dns, { type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Networks that are not everybody's. Source: IANA's special-purpose address registries; 6to4 and Teredo lead anywhere. */
const SPECIAL: readonly (readonly [network: string, bits: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];
/** Of IPv6 only this is given out; addresses of IPv4 written as such are judged as those. */
const GIVEN_OUT = new BlockList();
GIVEN_OUT.addSubnet('2000::', 3, 'ipv6');
const special = new BlockList();
for (const [network, bits] of SPECIAL)
  special.addSubnet(network, bits, isIP(network) === 4 ? 'ipv4' : 'ipv6');

/** Whether everybody can reach the address, which must be one of IPv4 or IPv6. */
export function isPublic(address: string): boolean {
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
  if (special.check(address, family)) return false;
  return family === 'ipv4' || GIVEN_OUT.check(address, 'ipv6') || isMapped(address);
}

/** An address of IPv4 in one of IPv6; the list above has looked at it as what it is. */
function isMapped(address: string): boolean {
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address);
}

export interface OutsidePolicy {
  /** Why nothing is sent there; undefined when something may be, as far as the address itself says. */
  problem(url: URL): string | undefined;
  /** For the connection: refuses names that lead elsewhere. Undefined where everything is allowed. */
  lookup(url: URL): LookupFunction | undefined;
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/** `own`: port of the gateway on loopback. `allowed`: hosts, or hosts with a port, to which the operator lets requests go. */
export function createOutsidePolicy(own: () => number, allowed: readonly string[]): OutsidePolicy {
  const isAllowed = ({ hostname, port, protocol }: URL): boolean => {
    const real = port || (protocol === 'https:' ? '443' : '80');
    if (LOOPBACK.has(hostname) && protocol === 'http:' && Number(real) === own()) return true;
    return allowed.includes(hostname) || allowed.includes(`${hostname}:${real}`);
  };
  return {
    problem(url) {
      if (url.protocol !== 'http:' && url.protocol !== 'https:')
        return 'it must begin with http:// or https://';
      if (isAllowed(url)) return undefined;
      const address = url.hostname.replace(/^\[|\]$/g, '');
      return isIP(address) !== 0 && !isPublic(address) ? notPublic(address) : undefined;
    },
    lookup: (url) => (isAllowed(url) ? undefined : publicLookup),
  };
}

const notPublic = (address: string): string => `${address} is not an address that everybody can reach`;

const publicLookup: LookupFunction = (hostname, options, callback) => {
  dns.lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[] = []) => {
    const bad = addresses.find(({ address }) => !isPublic(address));
    const failure = error ?? (bad ? new Error(`${hostname}: ${notPublic(bad.address)}`) : null);
    if (failure) return callback(failure, []);
    if (options.all) return callback(null, addresses);
    const [first] = addresses;
    callback(null, first?.address ?? '', first?.family);
  });
};
