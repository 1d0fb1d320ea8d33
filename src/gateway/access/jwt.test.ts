/** Tokens by themselves: every algorithm with keys made here, and everything that must not be accepted. */
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import { type JwtSettings, JwtVerifier } from './jwt.ts';

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const NOW = 1_800_000_000;

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const short = generateKeyPairSync('rsa', { modulusLength: 1024 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const SECRET = 'a secret of more than thirty-two bytes';

type Jwk = Record<string, unknown>;
const jwk = (key: KeyObject, more: Jwk = {}): Jwk => ({ ...key.export({ format: 'jwk' }), ...more });
const oct = (more: Jwk = {}): Jwk => ({ kty: 'oct', k: Buffer.from(SECRET).toString('base64url'), ...more });

const SIGNERS: Record<string, (data: Buffer) => Buffer> = {
  RS256: (data) => sign('sha256', data, rsa.privateKey),
  ES256: (data) => sign('sha256', data, { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (data) => sign(null, data, ed.privateKey),
  HS256: (data) => createHmac('sha256', SECRET).update(data).digest(),
};

/** Valid for an hour from `NOW` on, unless the claims say otherwise. */
function token(alg: string, claims: Jwk = { sub: 'ann' }, header: Jwk = {}, signer = SIGNERS[alg]!): string {
  const signed = `${part({ alg, ...header })}.${part({ exp: NOW + 3600, ...claims })}`;
  return `${signed}.${signer(Buffer.from(signed)).toString('base64url')}`;
}

const verdict = (settings: JwtSettings, given: string, now = NOW) => {
  const answer = new JwtVerifier(settings).verify(given, now);
  return 'subject' in answer ? `ok ${answer.subject}` : answer.problem;
};

const KEYS: Record<string, Jwk> = {
  RS256: jwk(rsa.publicKey),
  ES256: jwk(ec.publicKey),
  EdDSA: jwk(ed.publicKey),
  HS256: oct(),
};

for (const alg of Object.keys(KEYS)) {
  test(`${alg}: a token is accepted by its own key, and not when anything of it was changed`, () => {
    const keys = [KEYS[alg]!];
    const good = token(alg);
    assert.equal(verdict({ keys }, good), 'ok ann');
    const [header, , signature] = good.split('.');
    assert.match(verdict({ keys }, `${header}.${part({ sub: 'eve' })}.${signature}`), /signature/);
    assert.match(verdict({ keys }, `${part({ alg, x: 1 })}.${good.split('.')[1]}.${signature}`), /signature/);
    const others = Object.entries(KEYS).flatMap(([other, key]) => (other === alg ? [] : [key]));
    assert.match(verdict({ keys: others }, good), /algorithm/);
  });
}

test("the algorithm is the key's, never the token's", () => {
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
  for (const secret of [pem, String(KEYS.RS256!.n), rsa.publicKey.export({ type: 'spki', format: 'der' })]) {
    const forged = token('HS256', { sub: 'eve' }, {}, (data) =>
      createHmac('sha256', secret).update(data).digest(),
    );
    assert.match(verdict({ keys: [KEYS.RS256!] }, forged), /algorithm/);
  }
  for (const alg of ['none', 'None', 'HS512', 'RS1', '']) {
    const unsigned = `${part({ alg })}.${part({ sub: 'eve' })}.`;
    assert.equal(verdict({ keys: Object.values(KEYS) }, unsigned), 'it is malformed');
    assert.match(verdict({ keys: Object.values(KEYS) }, `${unsigned}AAAA`), /algorithm/);
  }
  assert.match(verdict({ keys: [jwk(rsa.publicKey, { alg: 'PS256' })] }, token('RS256')), /key is not known/);
  assert.match(verdict({ keys: [jwk(rsa.publicKey, { use: 'enc' })] }, token('RS256')), /key is not known/);
  const weak = token('RS256', {}, {}, (data) => sign('sha256', data, short.privateKey));
  assert.match(verdict({ keys: [jwk(short.publicKey)] }, weak), /key is not known/);
  assert.match(
    verdict({ keys: [{ kty: 'oct', k: '' }, { kty: 'EC' }, { nonsense: true }] }, token('HS256')),
    /not known/,
  );
});

test('a key is chosen by its id; one that nobody knows is told as such', () => {
  const keys = [jwk(rsa.publicKey, { kid: 'old' }), jwk(ec.publicKey, { kid: 'new' })];
  assert.equal(verdict({ keys }, token('RS256', { sub: 'a' }, { kid: 'old' })), 'ok a');
  assert.match(verdict({ keys }, token('RS256', { sub: 'a' }, { kid: 'new' })), /algorithm/);
  const verifier = new JwtVerifier({ keys });
  assert.deepEqual(verifier.verify(token('RS256', {}, { kid: 'next' }), NOW), {
    problem: 'its key is not known',
    unknownKey: true,
  });
});

test('times have a minute of leeway, and an accepted token is not accepted for ever', () => {
  const keys = [KEYS.HS256!];
  const verifier = new JwtVerifier({ keys });
  const until = token('HS256', { sub: 'a', exp: NOW });
  assert.ok('subject' in verifier.verify(until, NOW + 59));
  assert.ok('problem' in verifier.verify(until, NOW + 60));
  assert.equal(verdict({ keys }, token('HS256', { nbf: NOW }), NOW - 60), 'ok ');
  assert.match(verdict({ keys }, token('HS256', { nbf: NOW }), NOW - 61), /not valid yet/);
  for (const exp of ['2999-01-01', null, '9999999999']) {
    assert.match(verdict({ keys }, token('HS256', { exp })), /expired/, String(exp));
  }
});

test('a token that never expires is refused, unless such are allowed', () => {
  const keys = [KEYS.HS256!];
  const eternal = token('HS256', { sub: 'ann', exp: undefined });
  assert.match(verdict({ keys }, eternal), /never expires/);
  assert.equal(verdict({ keys, withoutExpiry: true }, eternal), 'ok ann');
  assert.match(verdict({ keys, withoutExpiry: true }, token('HS256', { exp: NOW - 60 })), /has expired/);
  assert.match(verdict({ keys, withoutExpiry: true }, token('HS256', { exp: null })), /has expired/);
});

test('issuer, audience and claims have to be what is required', () => {
  const keys = [KEYS.HS256!];
  const claims = {
    iss: 'https://id.test',
    aud: ['shop', 'web'],
    scope: 'read write',
    admin: true,
    roles: ['a', 'b'],
  };
  const good = token('HS256', claims);
  const cases: [Partial<JwtSettings>, boolean][] = [
    [{ issuer: 'https://id.test' }, true],
    [{ issuer: 'https://id.test/' }, false],
    [{ audiences: ['other', 'web'] }, true],
    [{ audiences: ['other'] }, false],
    [{ claims: { scope: 'write', admin: 'true', roles: 'b' } }, true],
    [{ claims: { scope: 'rea' } }, false],
    [{ claims: { roles: 'c' } }, false],
    [{ claims: { toString: 'x' } }, false],
    [{ claims: { missing: 'undefined' } }, false],
  ];
  for (const [settings, accepted] of cases) {
    assert.equal(verdict({ keys, ...settings }, good).startsWith('ok'), accepted, JSON.stringify(settings));
  }
});

test('what is no token, or says that it needs more than is known here, is refused', () => {
  const keys = [KEYS.HS256!];
  for (const given of [
    '',
    'a.b',
    'a.b.c.d',
    '....',
    `${'A'.repeat(9000)}.A.A`,
    'é.é.é',
    'bnVsbA.bnVsbA.bnVsbA',
  ]) {
    assert.equal(verdict({ keys }, given), 'it is malformed', given.slice(0, 20));
  }
  assert.match(verdict({ keys }, token('HS256', {}, { crit: ['b64'], b64: false })), /extensions/);
});
