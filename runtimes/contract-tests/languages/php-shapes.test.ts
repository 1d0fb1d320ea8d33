/** What the php runtime recognises, and how it answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Instance, until, withoutProgram } from '../instance.ts';
import { type Case, describeShapes, get, hello, post } from '../shapes.ts';

const form = 'application/x-www-form-urlencoded';
const multipart =
  '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n--XX\r\nContent-Disposition: form-data; name="list[]"\r\n\r\ntwo\r\n' +
  '--XX\r\nContent-Disposition: form-data; name="file"; filename="../f.txt"\r\nContent-Type: text/plain\r\n\r\nline\r\n\r\nend\r\n--XX--\r\n';

/** The interfaces of PSR-7, 15 and 17 as far as the runtime uses them, and an implementation in the place of one that is known. */
const psr = `<?php
namespace Psr\\Http\\Message {
  interface ServerRequestInterface {}
  interface ResponseInterface {}
}
namespace Psr\\Http\\Server { interface RequestHandlerInterface { public function handle(\\Psr\\Http\\Message\\ServerRequestInterface $request): \\Psr\\Http\\Message\\ResponseInterface; } }
namespace Nyholm\\Psr7 {
  class Stream {
    public function __construct(private $resource, private ?int $size) {}
    public function getContents(): string { return stream_get_contents($this->resource); }
    public function isSeekable(): bool { return $this->size !== null; }
    public function rewind(): void { rewind($this->resource); }
    public function getSize(): ?int { return $this->size; }
    public function eof(): bool { return feof($this->resource); }
    public function read(int $n): string { return fread($this->resource, $n); }
    public function close(): void { fclose($this->resource); }
  }
  class Request implements \\Psr\\Http\\Message\\ServerRequestInterface {
    public array $with = [];
    public function __construct(public string $method, public string $uri, public array $server) {}
    public function __call(string $name, array $arguments) { $clone = clone $this; $clone->with[$name][] = $arguments; return $clone; }
  }
  class Response implements \\Psr\\Http\\Message\\ResponseInterface {
    public function __construct(private int $status, private array $headers, private Stream $body) {}
    public function getStatusCode(): int { return $this->status; }
    public function getHeaders(): array { return $this->headers; }
    public function getBody(): Stream { return $this->body; }
  }
}
namespace Nyholm\\Psr7\\Factory {
  class Psr17Factory {
    public function createServerRequest($method, $uri, $server) { return new \\Nyholm\\Psr7\\Request($method, $uri, $server); }
    public function createStreamFromResource($resource) { return new \\Nyholm\\Psr7\\Stream($resource, null); }
    public function createStream(string $text) { $file = fopen('php://temp', 'w+'); fwrite($file, $text); rewind($file); return new \\Nyholm\\Psr7\\Stream($file, strlen($text)); }
    public function createStreamFromFile(string $path) { return new \\Nyholm\\Psr7\\Stream(fopen($path, 'r'), filesize($path)); }
    public function createUploadedFile(...$parts) { return $parts; }
  }
}
`;

const script = (text: string, calls: Case['calls'], title: string): Case => ({
  title: `script: ${title}`,
  files: { 'index.php': text },
  shape: 'script',
  calls,
});

const cases: Case[] = [
  {
    title: 'request: text, JSON, nothing, streams',
    files: {
      'main.php': `<?php
namespace Shop;
function handle($request) {
  return match ($request->path) {
    '/text' => 'grüße',
    '/array' => ['name' => $request->query['name'] ?? null],
    '/list' => [1, 'two', null],
    '/none' => null,
    '/bytes' => "\\xff",
    '/form' => $request->form(),
    '/cookie' => $request->cookies(),
    '/custom' => [201, ['X-Made' => 'yes'], 'made'],
    '/response' => new \\Petrel\\Response(['a' => 1], 202, ['x-a' => '1']),
    '/big-status' => [99, [], ''],
    '/file' => fopen(__FILE__, 'r'),
    '/write' => new \\Petrel\\Response(function (callable $write) { $write('a'); $write('b'); }),
    '/fatal' => eval('class Twice {} class Twice {}'),
    '/address' => $request->remoteAddr() . ' ' . $request->url(),
  };
}
`,
    },
    shape: 'request',
    calls: [
      { request: get('/text'), body: 'grüße', headers: { 'content-type': 'text/plain; charset=utf-8' } },
      {
        request: get('/array?name=A%26b+c'),
        json: { name: 'A&b c' },
        headers: { 'content-type': 'application/json' },
      },
      { request: get('/list'), body: '[1,"two",null]' },
      { request: get('/none'), status: 204, body: '' },
      { request: get('/bytes'), headers: { 'content-type': 'application/octet-stream' } },
      { request: post('/form', 'a=1&b[]=x%20y&b[]=z', form), json: { a: '1', b: ['x y', 'z'] } },
      { request: get('/cookie', [['cookie', 'a=1; b=x%3D']]), json: { a: '1', b: 'x=' } },
      { request: get('/custom'), status: 201, body: 'made', headers: { 'x-made': 'yes' } },
      { request: get('/response'), status: 202, json: { a: 1 }, headers: { 'x-a': '1' } },
      { request: get('/big-status'), status: 500, json: { reason: 'function_error' } },
      { request: get('/file'), status: 200 },
      { request: get('/write'), body: 'ab' },
      { request: get('/fatal'), status: 500, json: { reason: 'function_error' } },
      { request: get('/address?q'), body: '192.0.2.7 http://fn.example.test/address?q' },
    ],
  },
  {
    title: 'request: a closure that the file returns, with the global variables of the file',
    files: {
      'index.php':
        "<?php\n$word = 'hello';\nfunction word() { global $word; return $word; }\nreturn fn ($request) => word();\n",
    },
    shape: 'request',
    calls: hello,
  },
  {
    title: 'request: a method of a class, by name',
    files: {
      'index.php':
        '<?php\nnamespace App;\nclass Controller { public function show($request) { return "hello"; } }\n',
    },
    params: { handler: 'Controller@show' },
    shape: 'request',
    calls: hello,
  },
  script(
    `<?php
header('X-Early: yes');
setcookie('seen', 'a b', ['path' => '/', 'httponly' => true]);
http_response_code(202);
$total = 3;
function total() { global $total; return $total; }
?>
<p><?= htmlspecialchars($_GET['name'] ?? '') ?> <?= $_SERVER['REQUEST_METHOD'] ?> <?= total() ?></p>
`,
    [
      {
        request: get('/x?name=A%26b'),
        status: 202,
        body: '<p>A&amp;b GET 3</p>\n',
        headers: {
          'content-type': 'text/html; charset=UTF-8',
          'x-early': 'yes',
          'set-cookie': 'seen=a%20b; path=/; HttpOnly',
        },
      },
      { request: get('/again'), status: 202, body: '<p> GET 3</p>\n' },
    ],
    'markup, headers, cookies; every request begins anew',
  ),
  script(
    `<?php
header('content-type: application/json');
$input = file_get_contents('php://input');
echo json_encode([
  'post' => $_POST, 'cookie' => $_COOKIE, 'uri' => $_SERVER['REQUEST_URI'], 'custom' => $_SERVER['HTTP_X_CUSTOM'] ?? null,
  'input' => $input, 'again' => file_get_contents('php://input') === $input, 'ip' => $_SERVER['REMOTE_ADDR'],
  'files' => array_map(fn ($file) => [$file['name'], $file['type'], $file['size'], is_uploaded_file($file['tmp_name']), file_get_contents($file['tmp_name'])], $_FILES),
]);
`,
    [
      {
        request: post('/p?q=1', 'a=1&b[x]=2', form, [
          ['cookie', 'k=v'],
          ['x-custom', 'c'],
        ]),
        json: {
          post: { a: '1', b: { x: '2' } },
          cookie: { k: 'v' },
          uri: '/p?q=1',
          custom: 'c',
          input: 'a=1&b[x]=2',
          again: true,
          ip: '192.0.2.7',
        },
      },
      {
        request: post('/', '{"raw":1}', 'application/json'),
        json: { post: [], input: '{"raw":1}', again: true },
      },
      {
        request: post('/', multipart, 'multipart/form-data; boundary=XX'),
        json: {
          post: { a: 'one', list: ['two'] },
          input: '',
          files: { file: ['f.txt', 'text/plain', 11, true, 'line\r\n\r\nend'] },
        },
      },
    ],
    'forms, uploads, php://input',
  ),
  script(
    `<?php
register_shutdown_function(function () { echo ' shutdown'; });
switch ($_SERVER['PATH_INFO']) {
  case '/exit': echo 'before'; exit(3);
  case '/die': die('died');
  case '/throw': throw new LogicException('not caught');
  case '/fatal': eval('class Twice {} class Twice {}');
  case '/redirect': header('Location: /there'); exit;
  case '/flush': echo 'one '; flush(); echo 'two'; header_remove(); exit;
  case '/large': echo str_repeat('x', 100000); exit;
  case '/buffered': ob_start(); echo 'inner'; exit;
  case '/caught': set_exception_handler(function ($error) { http_response_code(503); echo 'handled ' . $error->getMessage(); }); throw new Exception('mine');
}
`,
    [
      { request: get('/exit'), status: 200, body: 'before shutdown' },
      { request: get('/die'), body: 'died shutdown' },
      {
        request: get('/throw'),
        status: 500,
        json: { message: 'LogicException: not caught', component: 'function' },
      },
      { request: get('/fatal'), status: 500, json: { component: 'function' } },
      { request: get('/redirect'), status: 302, headers: { location: '/there' } },
      { request: get('/flush'), body: 'one two shutdown' },
      { request: get('/large'), body: `${'x'.repeat(100_000)} shutdown` },
      { request: get('/buffered'), body: 'inner shutdown' },
      { request: get('/caught'), status: 503, body: 'handled mine shutdown' },
    ],
    'exit, die, errors, flush; the process of one request is not that of the next',
  ),
  script(
    `<?php
session_save_path(__DIR__);
session_start();
$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
echo $_SESSION['n'], ' ', preg_match('/^PHPSESSID=' . session_id() . ';/', implode(headers_list()) ?: 'none');
`,
    [{ request: get('/', [['cookie', 'PHPSESSID=petrelcontracttest']]) }, { request: get('/'), body: '1 0' }],
    'sessions',
  ),
  {
    title: 'psr15: a RequestHandlerInterface that the file returns',
    files: {
      'vendor/autoload.php': psr,
      'index.php': `<?php
use Nyholm\\Psr7\\{Factory\\Psr17Factory, Response};
return new class implements Psr\\Http\\Server\\RequestHandlerInterface {
  public function handle(Psr\\Http\\Message\\ServerRequestInterface $request): Psr\\Http\\Message\\ResponseInterface {
    $body = $request->with['withBody'][0][0]->getContents();
    $seen = [$request->method, $request->uri, $request->with['withQueryParams'][0][0], $request->with['withCookieParams'][0][0], $body];
    return new Response(203, ['X-A' => ['1', '2']], (new Psr17Factory())->createStream(json_encode(['seen' => $seen])));
  }
};
`,
    },
    shape: 'psr15',
    calls: [
      {
        request: post('/p?a=1', 'body', 'text/plain', [['cookie', 'k=v']]),
        status: 203,
        json: { seen: ['POST', 'http://fn.example.test/p?a=1', { a: '1' }, { k: 'v' }, 'body'] },
        headers: { 'x-a': '1' },
      },
    ],
  },
  {
    title: 'psr15: a function that takes a ServerRequestInterface and streams',
    files: {
      'vendor/autoload.php': psr,
      'index.php':
        '<?php\nfunction handle(Psr\\Http\\Message\\ServerRequestInterface $request) { return new Nyholm\\Psr7\\Response(200, [], $request->with["withBody"][0][0]); }\n',
    },
    shape: 'psr15',
    calls: [{ request: post('/', 'y'.repeat(300_000), 'text/plain'), body: 'y'.repeat(300_000) }],
  },
  {
    title: 'packages of composer.json, from a lock',
    files: {
      'composer.json':
        '{"repositories":[{"type":"path","url":"greeter","options":{"symlink":false}},{"packagist.org":false}],"require":{"acme/greeter":"1.0.0"}}',
      'greeter/composer.json':
        '{"name":"acme/greeter","version":"1.0.0","autoload":{"psr-4":{"Acme\\\\":"src/"}}}',
      'greeter/src/Greeter.php': "<?php\nnamespace Acme;\nclass Greeter { const WORD = 'hello'; }\n",
      'index.php': '<?php\nreturn fn ($request) => Acme\\Greeter::WORD;\n',
    },
    shape: 'request',
    calls: hello,
    skip: withoutProgram('composer'),
  },
];

describeShapes('php', withoutProgram('php'), cases);

const missing = withoutProgram('php');

test('php: a script whose process is killed takes only its own request along', {
  skip: missing ?? false,
}, async (t) => {
  const instance = await Instance.start({ runtime: 'php' });
  t.after(() => instance.stop());
  await instance.specialise({
    'index.php':
      "<?php if ($_SERVER['PATH_INFO'] === '/kill') posix_kill(getmypid(), SIGKILL); usleep(300000); echo 'fine';",
  });
  const data = await instance.connect();
  const bystander = data.request({ target: '/' });
  await assert.rejects(data.request({ target: '/kill' }), /crashed/);
  assert.equal((await bystander).body.toString(), 'fine');
  assert.equal((await data.request({ target: '/' })).body.toString(), 'fine');
  assert.equal(instance.child.exitCode, null);
});

for (const [runtime, name, source] of [
  [
    'php',
    'fn.php',
    '<?php function handle($r) { while ($r->path === "/hang") sleep(1); return "answered"; }',
  ],
  ['perl', 'fn.pl', 'sub handle { 1 while $_[0]->path eq "/hang" && sleep 1; "answered" }'],
] as const) {
  test(`${runtime}: a worker that does not come back from a request that is over is replaced`, {
    skip: withoutProgram(runtime) ?? false,
  }, async (t) => {
    const instance = await Instance.start({ runtime });
    t.after(() => instance.stop());
    await instance.specialise({ [name]: source }, { concurrency: 1, timeoutMs: 100 });
    const data = await instance.connect();
    const stuck = data.open({ target: '/hang' });
    await until(async () => (await instance.control.call('health')).inFlight === 1, 'the request to begin');
    stuck.reset('timeout');
    assert.equal((await data.request({ target: '/' })).body.toString(), 'answered');
    assert.equal(instance.child.exitCode, null);
  });
}
