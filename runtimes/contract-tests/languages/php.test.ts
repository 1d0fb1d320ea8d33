/** The contract suite for the php runtime. Workers share no memory: what handlers have to tell each other is in files. */
import { contract } from '../contract.ts';
import { withoutProgram } from '../instance.ts';
import { oneFile } from '../language.ts';

const php = oneFile('fn.php');

contract({
  runtime: 'php',
  missing: withoutProgram('php'),
  transport: 'mux',
  trace: /fn\.php/,
  cwd: /\/code$/,
  args: /\/code\/fn\.php$/,
  everything: php(`<?php
use Petrel\\Request;
use Petrel\\Response;
function shared(string $name, int $by = 0): int {
    $file = fopen(__DIR__ . "/shared-$name", 'c+');
    flock($file, LOCK_EX);
    $value = (int) stream_get_contents($file);
    if ($by !== 0) { rewind($file); fwrite($file, str_pad((string) ($value + $by), 20)); }
    fclose($file);
    return $value + $by;
}
function gate(string $name): void { while (shared("open-$name") === 0) usleep(2000); }
function events(): Generator {
    for ($n = 0; $n < 3; $n++) { if ($n > 0) gate((string) $n); yield "data: $n\\n\\n"; }
}
function big(int $left): Generator {
    while ($left > 0) { $size = min($left, 65536); $left -= $size; shared('produced', $size); yield str_repeat('x', $size); }
}
function broken(): Generator { yield 'begun'; throw new Exception('broke off'); }
function status(Request $r): Response {
    $code = (int) $r->query['code'];
    return new Response(in_array($code, [204, 304]) ? null : "body of $code", $code);
}
function slow_read(Request $r): string {
    fread($r->stream(), 65536);
    gate('read');
    $n = 0;
    foreach ($r->chunks() as $chunk) $n += strlen($chunk);
    return "rest $n";
}
function hang(Request $r): void {
    try { $r->body(); } catch (RuntimeException) {}
    while (!$r->cancelled()) usleep(2000);
    shared('aborted', 1);
    throw new Exception('late');
}
function nap(Request $r): string {
    $busy = shared('busy', 1);
    if ($busy > shared('most')) shared('most', $busy - shared('most'));
    usleep(4 * (int) $r->query['ms'] * 1000); // workers are started while others sleep, one after another
    shared('busy', -1);
    return 'slept';
}
function handle(Request $r): mixed {
    return match ($r->path) {
        '/echo' => [200, ['content-type' => $r->contentType() ?? 'none'], $r->body()],
        '/echo-stream' => new Response($r->chunks(), headers: ['Content-Type' => 'application/octet-stream']),
        '/describe' => ['method' => $r->method, 'path' => $r->path, 'query' => $r->queryPairs(), 'headers' => $r->headers, 'body' => $r->body()],
        '/json' => ['got' => $r->json()],
        '/headers' => new Response('ok', headers: ['x-latin1' => "caf\\u{e9}", 'content-type' => 'text/plain', 'Set-Cookie' => ['a=1; Path=/', 'b=2']]),
        '/status' => status($r),
        '/sse' => new Response(events(), headers: ['content-type' => 'text/event-stream']),
        '/open' => shared("open-$r->queryString", 1) ? 'opened' : '',
        '/big' => big((int) $r->query['bytes']),
        '/produced' => (string) shared('produced'),
        '/slow-read' => slow_read($r),
        '/throw' => throw new TypeError('thrown in the handler'),
        '/reject' => [usleep(1000), throw new DomainException('rejected in the handler')],
        '/hang' => hang($r),
        '/aborted' => (string) shared('aborted'),
        '/hang-deaf' => (function () { while (true) sleep(1); })(),
        '/sleep' => nap($r),
        '/most' => (string) shared('most'),
        '/exit' => exit(3),
        '/environment' => ['env' => getenv(), 'cwd' => getcwd(), 'args' => $GLOBALS['argv']],
        '/stdin' => 'stdin ' . strlen(stream_get_contents(fopen('php://stdin', 'r'))),
        '/log' => [print("a line of output\\n"), fwrite(STDERR, "a line of errors\\n")] ? 'logged' : '',
        '/break-stream' => broken(),
        '/bad-header' => [200, ['x-evil' => "a\\r\\nx-forged: 1"], 'x'],
    };
}
`),
  crash: php(`<?php
function handle($request) {
    if (in_array($request->path, ['/crash', '/reject'])) exit('thrown by a timer');
    while (true) sleep(1);
}
`),
  hanging: {
    files: {
      'f.php':
        "<?php\nfunction handle() { while (!file_exists(getenv('GO'))) { clearstatcache(); usleep(10000); } return ''; }\n",
    },
    entry: 'f.php',
  },
  failures: {
    'a syntax error': {
      source: php('<?php\n$b = = 2;\nreturn fn () => 1;\n'),
      says: /^ParseError: syntax error, unexpected token "=".*\nParseError: .* in fn\.php:2\n\nfn\.php:2\n/,
      file: 'fn.php',
      line: 2,
      shows: '$b = = 2;',
    },
    'a syntax error in a file that is imported': {
      source: {
        files: {
          'fn.php': "<?php require __DIR__ . '/lib/dep.php'; return fn () => 1;\n",
          'lib/dep.php': '<?php\n\n$x = {;\n',
        },
        entry: 'fn.php',
      },
      says: /ParseError: syntax error/,
      file: 'lib/dep.php',
      line: 3,
      shows: '$x = {;',
    },
    'a module that is not there': {
      source: php("<?php\nrequire 'not_installed.php';\nreturn fn () => 1;\n"),
      says: /Failed opening required 'not_installed\.php'/,
      file: 'fn.php',
      line: 2,
      shows: "require 'not_installed.php';",
    },
    'a module that is not there, two files deep': {
      source: {
        files: {
          'fn.php': "<?php require 'dep.php'; function handle() {}\n",
          'dep.php': '<?php\n\nnew Not\\Installed();\n',
        },
        entry: 'fn.php',
      },
      says: /Class "Not\\Installed" not found/,
      file: 'dep.php',
      line: 3,
    },
    'a throw while loading': {
      source: php(
        "<?php\nfunction set_up() { throw new TypeError('no database'); }\nset_up();\nreturn fn () => 1;\n",
      ),
      says: /TypeError: no database/,
      file: 'fn.php',
      line: 2,
      shows: "throw new TypeError('no database');",
    },
    'loading that fails later': {
      source: php(
        "<?php\nusleep(5000);\nthrow new Exception('top level rejection');\nfunction handle() {}\n",
      ),
      says: /top level rejection/,
      file: 'fn.php',
    },
    'loading that never ends': {
      source: php('<?php while (true) sleep(1); return 1;\n'),
      says: /did not finish loading within/,
    },
    'no handler among the exports': {
      source: php('<?php\nconst ANSWER = 42;\nclass Thing {}\n'),
      says: /ANSWER \(int\), Thing \(class\)/,
    },
    'a named handler that is not exported': {
      source: { ...php('<?php function handle($request) {}\n'), handler: 'handel' },
      says: /handel.*handle \(function\)/,
    },
    'an entry that is not in the package': {
      source: { files: { 'fn.php': '' }, entry: 'other.php' },
      says: /no file other\.php.*fn\.php/,
    },
    'an entry outside the package': {
      source: { files: { 'fn.php': '' }, entry: '../../etc/passwd' },
      says: /outside the package/,
    },
    'code that exits while it is loaded': {
      source: php("<?php\nfunction handle() {}\nexit('gave up');\n"),
      says: /gave up/,
    },
  },
  lacks: { programs: 'a PHP program that listens on $PORT is deployed with a Procfile' },
});
