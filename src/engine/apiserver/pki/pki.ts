/**
 * The platform's own certificate authority and what it has issued, in files: made at the first start, used again at
 * every later one, replaced when they come near their end or do not fit any more.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { type CertificateRequest, type Issuer, issue, type KeyPair, type Subject } from './certificate.ts';

const DAY = 86_400_000;
/** A machine whose clock goes back by less than this still accepts what it has issued. */
const SLACK = 365 * DAY;
const CA_LIFE = 10 * 365 * DAY;
/** With the slack below the 825 days that some verifiers allow a server. */
const LEAF_LIFE = 397 * DAY;
const RENEW_BEFORE = 60 * DAY;

const CA_SUBJECT: Subject = { commonName: 'petrel-ca' };
/** What the kubeconfig of the machine's owner authenticates as. Source of the group: kubernetes RBAC bootstrap policy. */
const ADMIN_SUBJECT: Subject = { commonName: 'petrel-admin', organizations: ['system:masters'] };
const SERVER_SUBJECT: Subject = { commonName: 'petrel-apiserver' };

/** Names that a server on this machine is reached by. */
const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '::1', 'kubernetes', 'kubernetes.default.svc'];

/** PEM. */
export interface Pki {
  ca: string;
  server: KeyPair;
  admin: KeyPair;
}

export interface PkiOptions {
  /** Directory of the files; created, for its owner alone. */
  directory: string;
  /** Milliseconds since the epoch. */
  now: number;
  /** Addresses the server listens on besides loopback. */
  hosts?: string[];
}

/** Reads what is there and still good, issues the rest. A new authority replaces everything. */
export function ensurePki({ directory, now, hosts = [] }: PkiOptions): Pki {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const leaf = { notBefore: now - SLACK, notAfter: now + LEAF_LIFE };
  const names = [...new Set([...LOOPBACK_HOSTS, ...hosts])];
  const ca = ensure(directory, 'ca', now, {
    subject: CA_SUBJECT,
    notBefore: now - SLACK,
    notAfter: now + CA_LIFE,
    usage: 'ca',
  });
  const issuer: Issuer = { subject: CA_SUBJECT, key: createPrivateKey(ca.key) };
  const server: CertificateRequest = { ...leaf, subject: SERVER_SUBJECT, usage: 'server', hosts: names };
  const admin: CertificateRequest = { ...leaf, subject: ADMIN_SUBJECT, usage: 'client' };
  const authority = new X509Certificate(ca.certificate);
  return {
    ca: ca.certificate,
    server: ensure(directory, 'apiserver', now, server, { issuer, authority }),
    admin: ensure(directory, 'admin', now, admin, { issuer, authority }),
  };
}

interface Signing {
  issuer: Issuer;
  authority: X509Certificate;
}

function ensure(
  directory: string,
  file: string,
  now: number,
  request: CertificateRequest,
  signing?: Signing,
): KeyPair {
  const certificateFile = join(directory, `${file}.crt`);
  const keyFile = join(directory, `${file}.key`);
  const found = read(certificateFile, keyFile);
  if (found !== undefined && isGood(found, now, request, signing?.authority)) return found;
  const pair = issue(request, signing?.issuer);
  replace(keyFile, pair.key);
  replace(certificateFile, pair.certificate);
  return pair;
}

function read(certificateFile: string, keyFile: string): KeyPair | undefined {
  try {
    return { certificate: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isGood(
  pair: KeyPair,
  now: number,
  request: CertificateRequest,
  authority?: X509Certificate,
): boolean {
  try {
    const certificate = new X509Certificate(pair.certificate);
    const issuer = authority ?? certificate;
    return (
      Date.parse(certificate.validFrom) <= now &&
      Date.parse(certificate.validTo) - RENEW_BEFORE > now &&
      certificate.checkPrivateKey(createPrivateKey(pair.key)) &&
      certificate.verify(issuer.publicKey) &&
      (request.hosts ?? []).every((host) =>
        isIP(host) === 0
          ? certificate.checkHost(host) !== undefined
          : certificate.checkIP(host) !== undefined,
      )
    );
  } catch {
    // Cut short by a crash, or no certificate at all: it is issued again.
    return false;
  }
}

/** Whole or not at all, and never readable by others. */
function replace(file: string, content: string): void {
  writeFileSync(`${file}.new`, content, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
