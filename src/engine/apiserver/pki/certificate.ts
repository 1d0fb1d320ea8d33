/** Issuing X.509 certificates with P-256 keys. Source: RFC 5280; ECDSA with SHA-256: RFC 5758. */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { isIP } from 'node:net';
import {
  bitString,
  boolean,
  implicit,
  integer,
  octetString,
  oid,
  sequence,
  set,
  tagged,
  time,
  utf8,
} from './der.ts';

/** PEM. */
export interface KeyPair {
  certificate: string;
  key: string;
}

export interface Subject {
  commonName: string;
  /** Groups of a client certificate. */
  organizations?: string[];
}

export interface CertificateRequest {
  subject: Subject;
  /** Milliseconds since the epoch. */
  notBefore: number;
  notAfter: number;
  usage: 'ca' | 'server' | 'client';
  /** Host names and IP addresses of a server. */
  hosts?: string[];
}

/** Who signs; absent in a request for a self-signed certificate. */
export interface Issuer {
  subject: Subject;
  key: KeyObject;
}

const OID = {
  ecdsaSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
};
/** Bits of KeyUsage and how many at the end are unused. */
const KEY_USAGE = {
  ca: { bits: 0b0000_0110, unused: 1 }, // keyCertSign, cRLSign
  server: { bits: 0b1000_0000, unused: 7 }, // digitalSignature
  client: { bits: 0b1000_0000, unused: 7 },
};
const ALGORITHM = sequence(oid(OID.ecdsaSha256));

/** A fresh key and a certificate for it, signed by `issuer` or, without one, by itself. */
export function issue(request: CertificateRequest, issuer?: Issuer): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = issuer ?? { subject: request.subject, key: privateKey };
  const serial = randomBytes(16);
  serial[0] = (serial[0] ?? 0) & 0x7f;
  const body = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(serial),
    ALGORITHM,
    name(signer.subject),
    sequence(time(request.notBefore), time(request.notAfter)),
    name(request.subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(3, sequence(...extensions(request, keyId(publicKey), keyId(createPublicKey(signer.key))))),
  );
  const certificate = sequence(body, ALGORITHM, bitString(sign('sha256', body, signer.key)));
  return {
    certificate: pem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function extensions(request: CertificateRequest, own: Buffer, issuer: Buffer): Buffer[] {
  const { usage, hosts = [] } = request;
  const { bits, unused } = KEY_USAGE[usage];
  const list = [
    extension(OID.basicConstraints, usage === 'ca' ? sequence(boolean(true)) : sequence(), true),
    extension(OID.keyUsage, bitString(Buffer.from([bits]), unused), true),
    extension(OID.subjectKeyId, octetString(own)),
    extension(OID.authorityKeyId, sequence(implicit(0, issuer))),
  ];
  if (usage !== 'ca') {
    list.push(
      extension(OID.extendedKeyUsage, sequence(oid(usage === 'server' ? OID.serverAuth : OID.clientAuth))),
    );
  }
  if (hosts.length > 0) list.push(extension(OID.subjectAltName, sequence(...hosts.map(generalName))));
  return list;
}

const extension = (id: string, value: Uint8Array, critical = false): Buffer =>
  sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(value));

const DNS_NAME = 2;
const IP_ADDRESS = 7;
const generalName = (host: string): Buffer =>
  isIP(host) === 0 ? implicit(DNS_NAME, Buffer.from(host)) : implicit(IP_ADDRESS, addressBytes(host));

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  // The URL parser writes an IPv6 address in its shortest form; expand the one `::` it may have.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = new Array<string>(8 - before.length - after.length).fill('0');
  return Buffer.from([...before, ...zeros, ...after].map((g) => g.padStart(4, '0')).join(''), 'hex');
}

function name({ commonName, organizations = [] }: Subject): Buffer {
  const attribute = (id: string, value: string) => set(sequence(oid(id), utf8(value)));
  return sequence(
    ...organizations.map((o) => attribute(OID.organization, o)),
    attribute(OID.commonName, commonName),
  );
}

/** Source: RFC 5280, 4.2.1.2, method 1, over the bits of the public key. */
function keyId(key: KeyObject): Buffer {
  // An uncompressed P-256 point is the last 65 bytes of its SubjectPublicKeyInfo.
  const point = key.export({ type: 'spki', format: 'der' }).subarray(-65);
  return createHash('sha1').update(point).digest();
}

function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
