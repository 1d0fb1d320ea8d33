/** What may be said of a Function's access, and what is refused with the path of the field. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { validateAccess } from './function-access.ts';

const fields = (spec: object) => validateAccess(spec).map(({ field }) => field);

test('what a user would write is accepted', () => {
  const specs = [
    {},
    { access: {} },
    { access: { cors: { allowOrigins: ['*'] } } },
    {
      access: {
        cors: {
          allowOrigins: [
            'https://a.test',
            'https://*.b.test:8443',
            'http://localhost:3000',
            'null',
            'http://[::1]:80',
          ],
          allowMethods: ['GET', 'PUT'],
          allowHeaders: ['*'],
          allowCredentials: true,
          maxAgeSeconds: 600,
        },
        auth: {
          apiKey: { secret: 'keys' },
          hmac: { secret: 'hook', header: 'X-Sig' },
          jwt: { secret: 'jwt' },
        },
        rateLimit: { requests: 10, seconds: 0.5, burst: 20, key: { header: 'x-user' } },
      },
    },
    { access: { auth: { jwt: { jwksUrl: 'https://id.test/.well-known/jwks.json', issuer: 'x' } } } },
    { access: { auth: { jwt: { jwksUrl: 'http://127.0.0.1:8080/jwks' } } } },
    { access: { auth: { jwt: { jwksUrl: 'http://keycloak.auth.svc/jwks' } } } },
    { sticky: { header: 'x-user' } },
    { sticky: { queryParameter: 'room' } },
    { onceOnly: true, concurrency: 0 },
    { onceOnly: true, concurrency: 1 },
  ];
  for (const spec of specs) assert.deepEqual(fields(spec), [], JSON.stringify(spec));
});

test('what cannot hold is refused where it stands', () => {
  const cors = (more: object) => ({ access: { cors: { allowOrigins: ['https://a.test'], ...more } } });
  const cases: [object, string[]][] = [
    [cors({ allowOrigins: [] }), ['spec.access.cors.allowOrigins']],
    [cors({ allowOrigins: ['https://a.test/'] }), ['spec.access.cors.allowOrigins[0]']],
    [cors({ allowOrigins: ['a.test'] }), ['spec.access.cors.allowOrigins[0]']],
    [cors({ allowOrigins: ['https://a.*.test'] }), ['spec.access.cors.allowOrigins[0]']],
    [cors({ allowOrigins: ['https://a\r\nb'] }), ['spec.access.cors.allowOrigins[0]']],
    [cors({ allowOrigins: ['*'], allowCredentials: true }), ['spec.access.cors.allowOrigins']],
    [cors({ allowMethods: ['get'] }), ['spec.access.cors.allowMethods[0]']],
    [cors({ exposeHeaders: ['a b'] }), ['spec.access.cors.exposeHeaders[0]']],
    [cors({ maxAgeSeconds: -1 }), ['spec.access.cors.maxAgeSeconds']],
    [{ access: { auth: {} } }, ['spec.access.auth']],
    [{ access: { auth: { apiKey: {} } } }, ['spec.access.auth.apiKey.secret']],
    [
      { access: { auth: { hmac: { secret: 'X', header: 'a b' } } } },
      ['spec.access.auth.hmac.secret', 'spec.access.auth.hmac.header'],
    ],
    [{ access: { auth: { jwt: {} } } }, ['spec.access.auth.jwt']],
    [{ access: { auth: { jwt: { secret: 'a', jwksUrl: 'https://x' } } } }, ['spec.access.auth.jwt']],
    [{ access: { auth: { jwt: { jwksUrl: 'http://id.test/jwks' } } } }, ['spec.access.auth.jwt.jwksUrl']],
    [{ access: { auth: { jwt: { jwksUrl: 'file:///etc/passwd' } } } }, ['spec.access.auth.jwt.jwksUrl']],
    [{ access: { auth: { jwt: { jwksUrl: 'https://u:p@id.test' } } } }, ['spec.access.auth.jwt.jwksUrl']],
    [{ access: { rateLimit: {} } }, ['spec.access.rateLimit.requests']],
    [
      { access: { rateLimit: { requests: 0, seconds: 0 } } },
      ['spec.access.rateLimit.seconds', 'spec.access.rateLimit.requests'],
    ],
    [{ sticky: {} }, ['spec.sticky']],
    [{ sticky: { header: 'a', queryParameter: 'b' } }, ['spec.sticky']],
    [{ onceOnly: true, concurrency: 2 }, ['spec.concurrency']],
    [{ onceOnly: true, sticky: { header: 'a' } }, ['spec.sticky']],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(fields(spec), expected, JSON.stringify(spec));
});
