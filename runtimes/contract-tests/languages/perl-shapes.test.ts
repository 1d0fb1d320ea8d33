/** What the perl runtime recognises, and how it answers. */
import { withoutProgram } from '../instance.ts';
import { type Case, describeShapes, get, hello, post } from '../shapes.ts';

const form = 'application/x-www-form-urlencoded';

const cases: Case[] = [
  {
    title: 'request: text, JSON, nothing, streams',
    files: {
      'main.pl': `
use strict; use warnings; use utf8;
sub handle {
    my ($request) = @_;
    my %answers = (
        '/text' => sub { 'grüße' },
        '/hash' => sub { { name => $request->query->{name}, all => [$request->param('name')] } },
        '/list' => sub { [1, 'two', undef] },
        '/none' => sub { undef },
        '/bytes' => sub { "\\xff" },
        '/form' => sub { $request->form },
        '/cookie' => sub { $request->cookies },
        '/custom' => sub { [201, { 'X-Made' => 'yes' }, 'made'] },
        '/psgi' => sub { [202, ['X-A' => 1, 'X-A' => 2], ['a', 'b']] },
        '/response' => sub { Petrel::Response->new({ a => 1 }, status => 202, headers => { 'x-a' => '1' }) },
        '/big-status' => sub { [99, [], ['']] },
        '/file' => sub { open my $file, '<', $0 or die; $file },
        '/lines' => sub { my @lines = readline $request->stream; scalar(@lines) . " $lines[1]" },
        '/address' => sub { $request->remote_addr . ' ' . $request->url },
        '/object' => sub { die bless {}, 'Oops' },
    );
    return $answers{$request->path}->();
}
sub helper { 1 }
package Oops;
use overload '""' => sub { 'an error object' };
1;
`,
    },
    shape: 'request',
    calls: [
      { request: get('/text'), body: 'grüße', headers: { 'content-type': 'text/plain; charset=utf-8' } },
      {
        request: get('/hash?name=A%26b+c&name=d'),
        json: { name: 'A&b c', all: ['A&b c', 'd'] },
        headers: { 'content-type': 'application/json' },
      },
      { request: get('/list'), body: '[1,"two",null]' },
      { request: get('/none'), status: 204, body: '' },
      { request: get('/bytes'), headers: { 'content-type': 'application/octet-stream' } },
      { request: post('/form', 'a=1&b=x%20y&a=2', form), json: { a: '1', b: 'x y' } },
      { request: get('/cookie', [['cookie', 'a=1; b=x%3D']]), json: { a: '1', b: 'x=' } },
      { request: get('/custom'), status: 201, body: 'made', headers: { 'x-made': 'yes' } },
      { request: get('/psgi'), status: 202, body: 'ab', headers: { 'x-a': '1' } },
      { request: get('/response'), status: 202, json: { a: 1 }, headers: { 'x-a': '1' } },
      { request: get('/big-status'), status: 500, json: { reason: 'function_error' } },
      { request: get('/file'), status: 200, headers: { 'content-type': 'application/octet-stream' } },
      { request: post('/lines', 'one\ntwo\nthree', 'text/plain'), body: '3 two\n' },
      { request: get('/address?q'), body: '192.0.2.7 http://fn.example.test/address?q' },
      { request: get('/object'), status: 500, json: { message: 'an error object' } },
    ],
  },
  {
    title: 'request: a sub of a package, by name',
    files: {
      'lib/Shop.pm': "package Shop;\nsub word { 'hello' }\n1;\n",
      'app.pl': 'use Shop;\npackage Shop::Front;\nsub show { Shop::word() }\n1;\n',
    },
    params: { handler: 'Shop::Front::show' },
    shape: 'request',
    calls: hello,
  },
  {
    title: 'request: a single sub of another name; what it imports does not count',
    files: { 'x.pl': "use POSIX qw(floor ceil);\nuse List::Util 'sum';\nsub greet { 'hello' }\n" },
    shape: 'request',
    calls: hello,
  },
  {
    title: 'psgi: an application as the last statement',
    files: {
      'app.psgi': `
use strict; use warnings;
my $count = 0;
my $app = sub {
    my ($env) = @_;
    read $env->{'psgi.input'}, my $body, $env->{CONTENT_LENGTH} || 0;
    return [200, ['Content-Type' => 'text/plain', 'Set-Cookie' => 'a=1', 'Set-Cookie' => 'b=2'],
        [join ' ', @$env{qw(REQUEST_METHOD PATH_INFO QUERY_STRING HTTP_X_A psgi.url_scheme REMOTE_ADDR)}, $body]];
};
`,
    },
    shape: 'psgi',
    calls: [
      {
        request: post('/a%20b?c=d', 'text', 'text/plain', [['x-a', 'z']]),
        body: 'POST /a b c=d z http 192.0.2.7 text',
        headers: { 'content-type': 'text/plain', 'set-cookie': 'a=1' },
      },
    ],
  },
  {
    title: 'psgi: delayed, streamed, from a handle, and from an object with getline',
    files: {
      'app.psgi': `
package Lines;
my $closed = 0;
sub new { bless [qw(one two)], shift }
sub getline { shift @{ $_[0] } }
sub close { $closed++ }
package main;
sub {
    my ($env) = @_;
    my %answers = (
        '/delayed' => sub { sub { $_[0]->([203, [], ['delayed']]) } },
        '/stream' => sub { sub { my $writer = $_[0]->([200, ['X-A' => 'b']]); $writer->write("part $_ ") for 1 .. 3; $writer->close } },
        '/handle' => sub { open my $file, '<', \\'from a handle'; [200, [], $file] },
        '/lines' => sub { [200, [], Lines->new] },
        '/closed' => sub { [200, [], [$closed]] },
        '/die' => sub { die 'in the app' },
        '/nothing' => sub { sub { } },
        '/echo' => sub { my $input = $env->{'psgi.input'}; sub { my $writer = $_[0]->([200, []]); while ($input->read(my $chunk, 1000)) { $writer->write($chunk) } $writer->close } },
    );
    return $answers{$env->{PATH_INFO}}->();
};
`,
    },
    shape: 'psgi',
    calls: [
      { request: get('/delayed'), status: 203, body: 'delayed' },
      { request: get('/stream'), body: 'part 1 part 2 part 3 ', headers: { 'x-a': 'b' } },
      { request: get('/handle'), body: 'from a handle' },
      { request: get('/lines'), body: 'onetwo' },
      { request: get('/closed'), body: '1' },
      { request: get('/die'), status: 500, json: { component: 'function' } },
      { request: get('/nothing'), status: 500, json: { reason: 'function_error' } },
      { request: post('/echo', 'z'.repeat(300_000), 'text/plain'), body: 'z'.repeat(300_000) },
    ],
  },
  {
    title: 'psgi: the sub that a .pl file ends with may take a request',
    files: {
      'main.pl':
        "return sub { my ($r) = @_; return $r->path eq '/env' ? [201, [], [$r->{PATH_INFO}]] : 'hello' };\n",
    },
    shape: 'psgi',
    calls: [...hello, { request: get('/env'), status: 201, body: '/env' }],
  },
  {
    title: 'psgi: modules that were built into local/',
    files: {
      'local/lib/perl5/Greeter.pm': "package Greeter;\nuse constant WORD => 'hello';\n1;\n",
      'main.pl': 'use Greeter;\nsub { [200, [], [Greeter::WORD]] };\n',
    },
    shape: 'psgi',
    calls: hello,
  },
];

describeShapes('perl', withoutProgram('perl'), cases);
