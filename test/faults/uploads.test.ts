/** Archives nobody should trust, sent to a platform and deployed by the command: refused in words, with a code, and nothing is left of them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { rawTar, rawZip } from '../../src/functions/testing/archives.ts';
import type { PetrelFunction } from '../../src/kinds/function.ts';
import { FUNCTIONS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

const GIB = 2 ** 30;
const HELLO = { name: 'index.js', body: 'exports.handle = async () => ({ body: "hello" });' };
const GOOD = rawTar([HELLO]);
const NOISE = Buffer.from(
  Array.from({ length: 60_000 }, (_, at) => createHash('sha1').update(String(at)).digest()[0] ?? 0),
);
/** A frame that asks for a window of 2 GiB before its first byte. */
const ZSTD_WINDOW = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00]);
const damaged = (bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes);
  copy.fill(0xff, copy.length >> 1, (copy.length >> 1) + 16);
  return copy;
};
const withNoise = rawTar([HELLO, { name: 'noise.bin', body: NOISE }]);
/** As the zstd command writes it; without a checksum only the digest of the package could tell. */
const ZSTD = zstdCompressSync(withNoise, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });

interface Hostile {
  what: string;
  /** As it would be called as a file. */
  file: string;
  bytes: Buffer;
  status: number;
  code: string;
}
const unsafe = { status: 422, code: 'UnsafeArchive' };
const tooLarge = { status: 413, code: 'PackageTooLarge' };
const HOSTILE: Hostile[] = [
  { what: 'a tar that is cut off', file: 'a.tar', bytes: withNoise.subarray(0, 4000), ...unsafe },
  { what: 'a damaged tar.gz', file: 'b.tar.gz', bytes: damaged(gzipSync(withNoise)), ...unsafe },
  {
    what: 'a tar.gz that is cut off',
    file: 'c.tar.gz',
    bytes: gzipSync(withNoise).subarray(0, 9000),
    ...unsafe,
  },
  { what: 'a damaged tar.zst', file: 'd.tar.zst', bytes: damaged(ZSTD), ...unsafe },
  {
    what: 'a tar.zst that is cut off',
    file: 'e.tar.zst',
    bytes: ZSTD.subarray(0, 9000),
    ...unsafe,
  },
  { what: 'a tar.zst that wants 2 GiB of window', file: 'f.tar.zst', bytes: ZSTD_WINDOW, ...unsafe },
  { what: 'a zip without its directory', file: 'g.zip', bytes: rawZip([HELLO]).subarray(0, 60), ...unsafe },
  { what: 'a damaged zip', file: 'h.zip', bytes: damaged(rawZip([{ name: 'n', body: NOISE }])), ...unsafe },
  {
    what: 'a zip that does not decompress',
    file: 'hh.zip',
    bytes: damaged(rawZip([{ name: 'n', body: NOISE.toString('hex') }])),
    ...unsafe,
  },
  {
    what: 'a zip that unpacks to more than it says',
    file: 'i.zip',
    bytes: rawZip([{ name: 'b', body: Buffer.alloc(50_000_000), claims: 10 }]),
    ...unsafe,
  },
  {
    what: 'a zip of one huge file',
    file: 'j.zip',
    bytes: rawZip([{ name: 'b', body: 'x', claims: 4 * GIB - 2 }]),
    ...tooLarge,
  },
  {
    what: 'a tar.gz of one huge file',
    file: 'k.tar.gz',
    bytes: gzipSync(rawTar([{ name: 'b', claims: 7 * GIB }])),
    ...tooLarge,
  },
  {
    what: 'a path that climbs',
    file: 'l.tar',
    bytes: rawTar([HELLO, { name: 'a/../../../evil.js', body: 'x' }]),
    ...unsafe,
  },
  {
    what: 'an absolute path',
    file: 'm.tar.gz',
    bytes: gzipSync(rawTar([HELLO, { name: '/tmp/evil.js', body: 'x' }])),
    ...unsafe,
  },
  {
    what: 'a path that climbs, in a zip',
    file: 'n.zip',
    bytes: rawZip([HELLO, { name: '../evil.js', body: 'x' }]),
    ...unsafe,
  },
  {
    what: 'a link that leaves',
    file: 'o.tar',
    bytes: rawTar([HELLO, { name: 'l', flag: '2', link: '../../../../etc/passwd' }]),
    ...unsafe,
  },
  {
    what: 'a link that leaves, in a zip',
    file: 'p.zip',
    bytes: rawZip([HELLO, { name: 'l', body: '/etc/passwd', mode: 0o120777 }]),
    ...unsafe,
  },
  {
    what: 'a file written through a link',
    file: 'q.tar',
    bytes: rawTar([
      { name: 'd', flag: '2', link: '.' },
      { name: 'd/evil.js', body: 'x' },
    ]),
    ...unsafe,
  },
  {
    what: 'a hard link that leaves',
    file: 'r.tar',
    bytes: rawTar([HELLO, { name: 'h', flag: '1', link: '../../etc/passwd' }]),
    ...unsafe,
  },
  { what: 'a device', file: 's.tar', bytes: rawTar([HELLO, { name: 'sda', flag: '4' }]), ...unsafe },
  {
    what: 'no archive at all',
    file: 't.zip',
    bytes: Buffer.from('this is a letter, not an archive\n'.repeat(99)),
    status: 415,
    code: 'UnsupportedSource',
  },
];

const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

interface Refusal {
  status: number;
  code?: string;
  message?: string;
}

/** Sends bytes to the package store; `only` so many of them, then the connection is cut. */
function upload(
  bytes: Buffer,
  options: { digest?: string; only?: number; headers?: Record<string, string> } = {},
): Promise<Refusal> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      socketPath: join(petrel.home, 'run/platform.sock'),
      method: 'PUT',
      path: `/packages/${options.digest ?? digestOf(bytes)}`,
      headers: { 'content-length': bytes.length, ...options.headers },
      agent: false,
    });
    outgoing.on('response', async (response) => {
      let text = '';
      for await (const part of response.setEncoding('utf8')) text += part;
      resolve({ ...(JSON.parse(text) as Refusal), status: response.statusCode ?? 0 });
    });
    outgoing.on('error', (error) => (options.only === undefined ? reject(error) : resolve({ status: 0 })));
    if (options.only === undefined) outgoing.end(bytes);
    else outgoing.write(bytes.subarray(0, options.only), () => setTimeout(() => outgoing.destroy(), 20));
  });
}

/** Everything that the package store has on the disk. */
const stored = (): string[] => {
  const dir = join(petrel.home, 'packages');
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(dir, name)).isFile())
    .sort();
};

test('uploads that cannot be trusted are refused with a code, and nothing is left of them', async (t) => {
  assert.equal((await upload(GOOD)).status, 201);
  const before = stored();
  assert.ok(before.some((name) => name.endsWith('index.js')));
  for (const { what, bytes, status, code } of HOSTILE) {
    await t.test(what, async () => {
      const refusal = await upload(bytes);
      assert.deepEqual([refusal.status, refusal.code], [status, code], JSON.stringify(refusal));
      assert.ok((refusal.message ?? '').length > 10);
      assert.deepEqual(stored(), before);
    });
  }
  assert.ok(!existsSync(join(petrel.home, 'evil.js')) && !existsSync('/tmp/evil.js'));
});

test('an upload that is not what it says, or breaks off', async () => {
  const before = stored();
  const wrong = await upload(withNoise, { digest: digestOf(GOOD).replace(/.{4}$/, 'beef') });
  assert.deepEqual([wrong.status, wrong.code], [422, 'DigestMismatch']);
  assert.deepEqual(stored(), before);
  assert.equal((await upload(GOOD, { digest: 'sha256:..' })).status, 400);

  const only = 30_000;
  await upload(withNoise, { only });
  const begun = await eventually('what has arrived is kept for going on, and no more than that', async () => {
    const added = stored().filter((name) => !before.includes(name));
    return added.length === 1 && added[0];
  });
  assert.match(begun, /^partial\//);
  const size = statSync(join(petrel.home, 'packages', begun)).size;
  assert.ok(size <= only, `${size} bytes`);
  const rest = Buffer.alloc(withNoise.length - size, 7);
  const range = `bytes ${size}-${withNoise.length - 1}/${withNoise.length}`;
  const spoilt = await upload(rest, { digest: digestOf(withNoise), headers: { 'content-range': range } });
  assert.deepEqual([spoilt.status, spoilt.code], [422, 'DigestMismatch']);
  assert.deepEqual(stored(), before, 'what was begun is given up with what does not fit it');
  assert.equal((await upload(withNoise)).status, 201);
});

test('the command says the same of an archive that is deployed', async () => {
  const before = stored();
  const told = ['b.tar.gz', 'd.tar.zst', 'h.zip', 'k.tar.gz', 'l.tar', 'n.zip', 'o.tar', 't.zip'];
  await Promise.all(
    HOSTILE.filter(({ file }) => told.includes(file)).map(async ({ what, file, bytes, code }) => {
      writeFileSync(scratch.path(file), bytes);
      const refused = await petrel.refused(['deploy', scratch.path(file), '--name', 'evil']);
      assert.equal(refused.code, code, `${what}: ${JSON.stringify(refused)}`);
      assert.ok(refused.message !== '' && refused.fix !== '', what);
    }),
  );
  assert.deepEqual(stored(), before);
  const api = await petrel.api();
  try {
    assert.deepEqual((await api.list<PetrelFunction>(FUNCTIONS, { namespace: 'default' })).items, []);
  } finally {
    api.close();
  }
  writeFileSync(scratch.path('good.tar'), GOOD);
  await petrel.deploy(scratch.path('good.tar'));
  assert.equal((await call(platform.gateway, '/', { host: 'good.default.localhost' })).body, 'hello');
});
