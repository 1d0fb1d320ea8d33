/** The static runtime: what is served, what is not, and as what. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import {
  type Answer,
  header,
  type MuxClient,
  type RequestOptions,
  WINDOW,
} from '../contract-tests/client.ts';
import { type Files, Instance, until } from '../contract-tests/instance.ts';

const BIG = 8 * 1048576;
const big = Buffer.alloc(BIG);
for (let i = 0; i < BIG; i += 4) big.writeUInt32LE(i, i);

const site: Files = {
  'index.html': '<h1>start</h1>',
  '404.html': '<h1>gone</h1>',
  'about.html': 'about',
  'a b/index.html': 'folder',
  'app-3f2a9c1b.js': 'let a;',
  'app.css': 'a{}'.repeat(100),
  'app.css.br': 'brotli',
  'app.css.gz': 'gzip',
  'small.txt.gz': 'no smaller than the file itself',
  'small.txt': 'small',
  'unknown.xyz': 'bytes',
  '.env': 'SECRET=1',
  '.git/config': 'secret',
  '.well-known/security.txt': 'contact',
  'grüße.txt': 'hallo',
  'big.bin': big,
};

const load = async (t: TestContext, files: Files, params: object = {}) => {
  const instance = await Instance.start({ runtime: 'static' });
  t.after(() => instance.stop());
  const result = await instance.specialise(files, { ...params });
  const data = await instance.connect();
  return {
    instance,
    result,
    ask: (target: string, options: RequestOptions = {}) => data.request({ target, ...options }),
  };
};

describe('a site', () => {
  let instance: Instance;
  let data: MuxClient;
  const ask = (target: string, headers: [string, string][] = [], method = 'GET'): Promise<Answer> =>
    data.request({ target, method, headers });

  before(async () => {
    instance = await Instance.start({ runtime: 'static' });
    fs.writeFileSync(path.join(instance.dir, 'outside.txt'), 'outside');
    const code = instance.package(site);
    fs.symlinkSync('../outside.txt', path.join(code, 'link.txt'));
    fs.symlinkSync('about.html', path.join(code, 'inside.html'));
    await instance.specialise(site);
    data = await instance.connect();
  });
  after(() => instance?.stop());

  const found: [target: string, type: string, body: string][] = [
    ['/', 'text/html; charset=utf-8', '<h1>start</h1>'],
    ['/?a=../..', 'text/html; charset=utf-8', '<h1>start</h1>'],
    ['/index.html', 'text/html; charset=utf-8', '<h1>start</h1>'],
    ['/about', 'text/html; charset=utf-8', 'about'],
    ['/a%20b/', 'text/html; charset=utf-8', 'folder'],
    ['/app-3f2a9c1b.js', 'text/javascript; charset=utf-8', 'let a;'],
    ['/unknown.xyz', 'application/octet-stream', 'bytes'],
    ['/.well-known/security.txt', 'text/plain; charset=utf-8', 'contact'],
    ['/gr%C3%BC%C3%9Fe.txt', 'text/plain; charset=utf-8', 'hallo'],
    ['/inside.html', 'text/html; charset=utf-8', 'about'],
  ];
  for (const [target, type, body] of found) {
    test(`${target} is found`, async () => {
      const answer = await ask(target);
      assert.equal(answer.status, 200);
      assert.equal(header(answer, 'content-type'), type);
      assert.equal(header(answer, 'x-content-type-options'), 'nosniff');
      assert.equal(answer.body.toString(), body);
    });
  }

  for (const target of [
    '/nothing',
    '/.env',
    '/.git/config',
    '/%2e%2e/outside.txt',
    '/../outside.txt',
    '/..%2foutside.txt',
    '/a%20b/..%2f..%2foutside.txt',
    '/a%20b/../../outside.txt',
    '/a%20b/..%5c..%5coutside.txt',
    '/link.txt',
    '//index.html',
    '/index.html/',
    '/.',
    '/..',
    '/__proto__',
  ]) {
    test(`${target} is not there`, async () => {
      const answer = await ask(target);
      assert.equal(answer.status, 404);
      assert.equal(answer.body.toString(), '<h1>gone</h1>');
      assert.equal(header(answer, 'content-type'), 'text/html; charset=utf-8');
    });
  }

  for (const target of ['/%', '/%ff', '/a%00b', 'relative', '*'])
    test(`${target} is no path`, async () => assert.equal((await ask(target)).status, 400));

  test('a folder leads to its own page, relative to wherever the site is', async () => {
    const answer = await ask('/a%20b?x=1');
    assert.equal(answer.status, 308);
    assert.equal(header(answer, 'location'), './a%20b/?x=1');
  });

  test('what the client has is not sent again', async () => {
    const first = await ask('/');
    const etag = header(first, 'etag') as string;
    assert.match(etag, /^"[\w-]{27}"$/);
    for (const value of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const again = await ask('/', [['if-none-match', value]]);
      assert.equal(again.status, 304, value);
      assert.equal(again.body.length, 0);
      assert.equal(header(again, 'etag'), etag);
    }
    assert.equal((await ask('/', [['if-none-match', '"x"']])).status, 200);
  });

  test('compressed files are sent to who accepts them, under tags of their own', async () => {
    const get = (accept: string) => ask('/app.css', [['accept-encoding', accept]]);
    const plain = await ask('/app.css');
    assert.equal(header(plain, 'content-encoding'), undefined);
    assert.equal(header(plain, 'vary'), 'accept-encoding');
    const seen = new Set([header(plain, 'etag')]);
    for (const [accept, coding] of [
      ['gzip, deflate, br', 'br'],
      ['gzip', 'gzip'],
      ['br;q=0, *', 'gzip'],
    ] as const) {
      const answer = await get(accept);
      assert.equal(header(answer, 'content-encoding'), coding, accept);
      assert.equal(header(answer, 'content-type'), 'text/css; charset=utf-8');
      seen.add(header(answer, 'etag'));
    }
    assert.equal(seen.size, 3);
    assert.equal(header(await get('identity'), 'content-encoding'), undefined);
    assert.equal(
      header(await ask('/small.txt', [['accept-encoding', 'gzip']]), 'content-encoding'),
      undefined,
    );
  });

  test('names with a hash are kept, others are asked for', async () => {
    assert.equal(
      header(await ask('/app-3f2a9c1b.js'), 'cache-control'),
      'public, max-age=31536000, immutable',
    );
    assert.equal(header(await ask('/about.html'), 'cache-control'), 'public, max-age=0, must-revalidate');
  });

  const ranges: [range: string, status: number, contentRange: string | undefined, body: string][] = [
    ['bytes=0-4', 206, 'bytes 0-4/14', '<h1>s'],
    ['bytes=4-', 206, 'bytes 4-13/14', 'start</h1>'],
    ['bytes=-5', 206, 'bytes 9-13/14', '</h1>'],
    ['bytes=-500', 206, 'bytes 0-13/14', '<h1>start</h1>'],
    ['bytes=10-999', 206, 'bytes 10-13/14', '/h1>'],
    ['bytes=14-', 416, 'bytes */14', ''],
    ['bytes=-0', 416, 'bytes */14', ''],
    ['bytes=5-4', 200, undefined, '<h1>start</h1>'],
    ['bytes=0-1,3-4', 200, undefined, '<h1>start</h1>'],
    ['lines=1-2', 200, undefined, '<h1>start</h1>'],
  ];
  for (const [range, status, contentRange, body] of ranges) {
    test(`range ${range}: ${status}`, async () => {
      const answer = await ask('/', [['range', range]]);
      assert.equal(answer.status, status);
      assert.equal(header(answer, 'content-range'), contentRange);
      assert.equal(answer.body.toString(), body);
    });
  }

  test('a range of another version is the whole', async () => {
    const etag = header(await ask('/'), 'etag') as string;
    const range: [string, string] = ['range', 'bytes=0-1'];
    assert.equal((await ask('/', [range, ['if-range', etag]])).status, 206);
    assert.equal((await ask('/', [range, ['if-range', '"old"']])).status, 200);
  });

  test('HEAD has the head of GET', async () => {
    for (const target of ['/', '/big.bin']) {
      const get = await ask(target);
      const head = await ask(target, [], 'HEAD');
      assert.equal(head.body.length, 0);
      for (const name of ['content-length', 'content-type', 'etag'])
        assert.equal(header(head, name) ?? '', header(get, name) ?? String(get.body.length), name);
    }
  });

  test('other methods are refused, with those that are not', async () => {
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const answer = await ask('/', [], method);
      assert.equal(answer.status, 405);
      assert.equal(header(answer, 'allow'), 'GET, HEAD, OPTIONS');
    }
    assert.equal((await ask('/', [], 'OPTIONS')).status, 204);
  });

  test('a large file arrives whole, in parts, and no faster than it is read', async () => {
    assert.ok((await ask('/big.bin')).body.equals(big));
    const part = await ask('/big.bin', [['range', `bytes=1000001-${BIG - 4}`]]);
    assert.ok(part.body.equals(big.subarray(1_000_001, BIG - 3)));
    const slow = data.open({ target: '/big.bin', grant: false });
    await until(() => slow.received === WINDOW, 'the window to be full');
    slow.reset('cancelled');
    await until(async () => (await instance.control.call('health')).inFlight === 0, 'its end');
    const open = () =>
      fs.readdirSync(`/proc/${instance.child.pid}/fd`).filter((fd) => {
        try {
          return fs.readlinkSync(`/proc/${instance.child.pid}/fd/${fd}`).endsWith('big.bin');
        } catch {
          return false;
        }
      });
    await until(() => open().length === 0, 'the file to be closed');
  });
});

test('spa: pages that are not there are the first, files that are not there are not', async (t) => {
  const { ask, result } = await load(t, { 'index.html': 'start', 'app.js': '' }, { handler: 'spa' });
  assert.equal(result.shape, 'spa');
  assert.equal((await ask('/some/page')).body.toString(), 'start');
  assert.equal((await ask('/user/a.b', { headers: [['accept', 'text/html,*/*']] })).status, 200);
  const missing = await ask('/gone.js');
  assert.equal(missing.status, 404);
  assert.equal(missing.body.toString(), 'not found\n');
});

test('the site is where a build has put it, or where the entry says', async (t) => {
  const built = await load(t, { 'package.json': '{}', 'dist/index.html': 'built' });
  assert.equal((await built.ask('/')).body.toString(), 'built');
  assert.equal((await built.ask('/package.json')).status, 404);
  const named = await load(t, { 'index.html': 'no', 'docs/index.html': 'docs' }, { entry: 'docs' });
  assert.equal((await named.ask('/')).body.toString(), 'docs');
  const page = await load(t, { 'hello.html': 'hello' }, { entry: 'hello.html' });
  assert.equal((await page.ask('/')).body.toString(), 'hello');
});

test('CACHE_CONTROL replaces what is said of files without a hash', async (t) => {
  const { ask } = await load(t, { 'index.html': '' }, { env: { CACHE_CONTROL: 'max-age=60' } });
  assert.equal(header(await ask('/'), 'cache-control'), 'max-age=60');
});

const refused: [title: string, files: Files, params: object, code: string, says: RegExp][] = [
  ['an unknown mode', { 'index.html': '' }, { handler: 'handel' }, 'HandlerNotFound', /handel.*files.*spa/],
  ['an entry that is not there', { 'a.html': '' }, { entry: 'b' }, 'EntryNotFound', /no file b.*a\.html/],
  ['an entry outside', { 'a.html': '' }, { entry: '../..' }, 'EntryNotFound', /outside the package/],
];
for (const [title, files, params, code, says] of refused) {
  test(`${title} is refused when it is loaded`, async (t) => {
    await assert.rejects(load(t, files, params), (error: { code: string; message: string }) => {
      assert.equal(error.code, code);
      assert.match(error.message, says);
      return true;
    });
  });
}
