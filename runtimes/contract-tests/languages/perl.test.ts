/** The contract suite for the perl runtime. Workers share no memory: what handlers have to tell each other is in files. */
import { contract } from '../contract.ts';
import { withoutProgram } from '../instance.ts';
import { oneFile } from '../language.ts';

const perl = oneFile('fn.pl');

contract({
  runtime: 'perl',
  missing: withoutProgram('perl'),
  transport: 'mux',
  trace: /fn\.pl/,
  cwd: /\/code$/,
  args: /\/code\/fn\.pl$/,
  everything: perl(`
use strict;
use warnings;
use Cwd ();
use Fcntl qw(:flock O_RDWR O_CREAT);
use Time::HiRes ();
sub shared {
    my ($name, $by) = @_;
    sysopen my $file, "shared-$name", O_RDWR | O_CREAT or die $!;
    flock $file, LOCK_EX;
    my $value = readline($file) || 0;
    if ($by) { $value += $by; seek $file, 0, 0; truncate $file, 0; print $file $value }
    close $file;
    return $value;
}
sub gate { Time::HiRes::sleep(0.002) until shared("open-$_[0]") }
my %routes = (
    '/echo' => sub { my $r = shift; [200, { 'content-type' => $r->content_type // 'none' }, [$r->body]] },
    '/echo-stream' => sub { my $r = shift; sub { my $write = shift; while (defined(my $chunk = $r->next_chunk)) { $write->($chunk) } } },
    '/describe' => sub { my $r = shift; { method => $r->method, path => $r->path, query => [$r->query_pairs], headers => $r->headers, body => $r->text } },
    '/json' => sub { { got => $_[0]->json } },
    '/headers' => sub { Petrel::Response->new('ok', headers => ['x-latin1' => "caf\\x{e9}", 'content-type' => 'text/plain', 'Set-Cookie' => 'a=1; Path=/', 'Set-Cookie' => 'b=2']) },
    '/status' => sub { my $code = $_[0]->query->{code}; Petrel::Response->new($code == 204 || $code == 304 ? undef : "body of $code", status => $code) },
    '/sse' => sub { Petrel::Response->new(sub { my $write = shift; for my $n (0 .. 2) { gate($n) if $n; $write->("data: $n\\n\\n") } }, headers => { 'content-type' => 'text/event-stream' }) },
    '/open' => sub { shared('open-' . $_[0]->query_string, 1); 'opened' },
    '/big' => sub { my $left = $_[0]->query->{bytes}; sub { my $write = shift; while ($left) { my $size = $left < 65536 ? $left : 65536; $left -= $size; shared('produced', $size); $write->('x' x $size) } } },
    '/produced' => sub { shared('produced') . '' },
    '/slow-read' => sub { my $r = shift; $r->stream->read(my $first, 65536); gate('read'); my $n = 0; while ($r->stream->read(my $chunk, 65536)) { $n += length $chunk } "rest $n" },
    '/throw' => sub { die 'TypeError: thrown in the handler' },
    '/reject' => sub { Time::HiRes::sleep(0.001); die { toString => 1 } if 0; die 'rejected in the handler' },
    '/hang' => sub { my $r = shift; eval { $r->body }; Time::HiRes::sleep(0.002) until $r->cancelled; shared('aborted', 1); die 'late' },
    '/aborted' => sub { shared('aborted') . '' },
    '/hang-deaf' => sub { sleep 1 while 1 },
    '/sleep' => sub {
        my $busy = shared('busy', 1);
        shared('most', $busy - shared('most')) if $busy > shared('most');
        Time::HiRes::sleep(4 * $_[0]->query->{ms} / 1000); # workers are started while others sleep, one after another
        shared('busy', -1);
        'slept';
    },
    '/most' => sub { shared('most') . '' },
    '/exit' => sub { exit 3 },
    '/environment' => sub { { env => {%ENV}, cwd => Cwd::getcwd(), args => [$0] } },
    '/stdin' => sub { local $/; 'stdin ' . length(<STDIN> // '') },
    '/log' => sub { print "a line of output\\n"; print STDERR "a line of errors\\n"; 'logged' },
    '/break-stream' => sub { sub { $_[0]->('begun'); die 'broke off' } },
    '/bad-header' => sub { [200, ['x-evil' => "a\\r\\nx-forged: 1"], ['x']] },
);
sub handle {
    my ($request) = @_;
    return $routes{$request->path}->($request);
}
`),
  crash: perl(`
sub handle {
    my ($request) = @_;
    if ($request->path =~ m{^/(crash|reject)$}) { warn "thrown by a timer\\n"; exit 1 }
    sleep 1 while 1;
}
`),
  hanging: {
    files: { 'f.pl': 'sub handle { select(undef, undef, undef, 0.01) until -e $ENV{GO}; "" }\n' },
    entry: 'f.pl',
  },
  failures: {
    'a syntax error': {
      source: perl('use strict;\nmy $b = = 2;\nsub handle {}\n'),
      says: /syntax error at fn\.pl line 2, near "= ="/,
      file: 'fn.pl',
      line: 2,
      shows: 'my $b = = 2;',
    },
    'a syntax error in a file that is imported': {
      source: {
        files: { 'fn.pl': 'use Dep;\nsub handle {}\n', 'lib/Dep.pm': 'package Dep;\n\nmy $x = );\n1;\n' },
        entry: 'fn.pl',
      },
      says: /syntax error/,
      file: 'lib/Dep.pm',
      line: 3,
      shows: 'my $x = );',
    },
    'a module that is not there': {
      source: perl('\nuse Not::Installed;\nsub handle {}\n'),
      says: /Can't locate Not\/Installed\.pm/,
      file: 'fn.pl',
      line: 2,
      shows: 'use Not::Installed;',
    },
    'a module that is not there, two files deep': {
      source: {
        files: { 'fn.pl': 'use Dep;\nsub handle {}\n', 'Dep.pm': 'package Dep;\n\nuse Gone;\n1;\n' },
        entry: 'fn.pl',
      },
      says: /Can't locate Gone\.pm/,
      file: 'Dep.pm',
      line: 3,
    },
    'a throw while loading': {
      source: perl("sub set_up {\n  die 'TypeError: no database';\n}\nset_up();\nsub handle {}\n"),
      says: /TypeError: no database/,
      file: 'fn.pl',
      line: 2,
      shows: "die 'TypeError: no database';",
    },
    'loading that fails later': {
      source: perl("select undef, undef, undef, 0.005;\neval { die 'inner' };\ndie 'top level rejection';\n"),
      says: /top level rejection/,
      file: 'fn.pl',
    },
    'loading that never ends': { source: perl('sleep 1 while 1;\n'), says: /did not finish loading within/ },
    'no handler among the exports': {
      source: perl('our $answer = 42;\npackage Thing;\n1;\n'),
      says: /\$answer \(variable\), Thing \(package\)/,
    },
    'a named handler that is not exported': {
      source: { ...perl('sub handle { 1 }\n'), handler: 'handel' },
      says: /handel.*handle \(sub\)/,
    },
    'an entry that is not in the package': {
      source: { files: { 'fn.pl': '' }, entry: 'other.pl' },
      says: /no file other\.pl.*fn\.pl/,
    },
    'an entry outside the package': {
      source: { files: { 'fn.pl': '' }, entry: '../../etc/passwd' },
      says: /outside the package/,
    },
    'code that exits while it is loaded': {
      source: perl('sub handle {}\nwarn "gave up\\n";\nexit 1;\n'),
      says: /exit\(1\) was called at fn\.pl line 3: gave up/,
    },
  },
  lacks: { programs: 'a Perl program that listens on $PORT is deployed with a Procfile' },
});
