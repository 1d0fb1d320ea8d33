import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { issue } from './certificate.ts';
import { ensurePki } from './pki.ts';

const DAY = 86_400_000;
const NOW = Date.parse('2026-06-01T00:00:00Z');

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'petrel-pki-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

test('a certificate says what was asked for, and verifies against its issuer', () => {
  const life = { notBefore: NOW - DAY, notAfter: Date.parse('2055-01-01T00:00:00Z') };
  const subject = { commonName: 'ca' };
  const ca = issue({ subject, ...life, usage: 'ca' });
  const authority = new X509Certificate(ca.certificate);
  assert.equal(authority.ca, true);
  assert.equal(authority.subject, 'CN=ca');
  assert.equal(Date.parse(authority.validTo), life.notAfter, 'years from 2050 on have another form');
  assert.ok(authority.verify(authority.publicKey));
  const hosts = ['localhost', '127.0.0.1', '::1', 'fe80::1:2'];
  const issuer = { subject, key: createPrivateKey(ca.key) };
  const leaf = issue({ subject: { commonName: 'leaf' }, ...life, usage: 'server', hosts }, issuer);
  const certificate = new X509Certificate(leaf.certificate);
  assert.equal(certificate.ca, false);
  assert.ok(certificate.checkIssued(authority));
  assert.ok(certificate.verify(authority.publicKey));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(leaf.key)));
  assert.equal(certificate.checkHost('localhost'), 'localhost');
  for (const ip of hosts.slice(1)) assert.ok(certificate.checkIP(ip), ip);
  assert.equal(certificate.checkHost('example.com'), undefined);
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
});

test('certificates are kept while they are good, and replaced when they are not', (t) => {
  const path = directory(t);
  const first = ensurePki({ directory: path, now: NOW });
  assert.deepEqual(ensurePki({ directory: path, now: NOW + DAY }), first);
  assert.deepEqual(
    ensurePki({ directory: path, now: NOW - 100 * DAY }),
    first,
    'a clock that went back is no reason',
  );

  const nearEnd = ensurePki({ directory: path, now: NOW + 380 * DAY });
  assert.equal(nearEnd.ca, first.ca);
  assert.notEqual(nearEnd.server.certificate, first.server.certificate);
  assert.notEqual(nearEnd.admin.certificate, first.admin.certificate);

  const otherHost = ensurePki({ directory: path, now: NOW + 380 * DAY, hosts: ['192.0.2.7'] });
  assert.ok(new X509Certificate(otherHost.server.certificate).checkIP('192.0.2.7'));
  assert.equal(otherHost.admin.certificate, nearEnd.admin.certificate);

  writeFileSync(join(path, 'apiserver.crt'), 'cut sho');
  const repaired = ensurePki({ directory: path, now: NOW + 380 * DAY });
  assert.ok(
    new X509Certificate(repaired.server.certificate).verify(new X509Certificate(repaired.ca).publicKey),
  );

  const replaced = ensurePki({ directory: path, now: NOW + 3650 * DAY });
  assert.notEqual(replaced.ca, first.ca);
  const authority = new X509Certificate(replaced.ca);
  for (const { certificate } of [replaced.server, replaced.admin]) {
    assert.ok(
      new X509Certificate(certificate).verify(authority.publicKey),
      'a new authority signs everything anew',
    );
  }
  assert.equal(readFileSync(join(path, 'ca.crt'), 'utf8'), replaced.ca);
});
