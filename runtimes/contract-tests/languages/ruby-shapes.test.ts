/** What the ruby runtime recognises, and how it answers. */
import { withoutProgram } from '../instance.ts';
import { type Case, describeShapes, get, hello, post } from '../shapes.ts';

const form = 'application/x-www-form-urlencoded';

const cases: Case[] = [
  {
    title: 'request: text, JSON, nothing',
    files: {
      'main.rb': `
def handle(request)
  case request.path
  when '/text' then 'grüße'
  when '/hash' then { 'name' => request.query['name'] }
  when '/list' then [1, 'two', nil]
  when '/none' then nil
  when '/bytes' then "\\xff".b
  when '/form' then request.form
  when '/cookie' then request.cookies
  when '/custom' then [201, { 'X-Made' => 'yes' }, 'made']
  when '/response' then Petrel::Response.new({ a: 1 }, status: 202, headers: { 'x-a' => '1' })
  when '/big-status' then [99, {}, []]
  when '/struct' then Struct.new(:to_json_called).new(1).to_h
  when '/io' then File.open(__FILE__)
  when '/proc' then Petrel::Response.new(->(out) { out << 'a'; out.write('b', 'c') })
  end
end
private def helper = 1
`,
    },
    shape: 'request',
    calls: [
      { request: get('/text'), body: 'grüße', headers: { 'content-type': 'text/plain; charset=utf-8' } },
      {
        request: get('/hash?name=A%26b+c'),
        json: { name: 'A&b c' },
        headers: { 'content-type': 'application/json' },
      },
      { request: get('/list'), body: '[1,"two",null]' },
      { request: get('/none'), status: 204, body: '' },
      { request: get('/bytes'), headers: { 'content-type': 'application/octet-stream' } },
      { request: post('/form', 'a=1&b=x%20y&a=2', form), json: { a: '1', b: 'x y' } },
      { request: get('/cookie', [['cookie', 'a=1; b=x%3D']]), json: { a: '1', b: 'x=' } },
      { request: get('/custom'), status: 201, body: 'made', headers: { 'x-made': 'yes' } },
      { request: get('/response'), status: 202, json: { a: 1 }, headers: { 'x-a': '1' } },
      { request: get('/big-status'), status: 500, json: { reason: 'function_error' } },
      { request: get('/struct'), json: { to_json_called: 1 } },
      { request: get('/io'), status: 200, headers: { 'content-type': 'application/octet-stream' } },
      { request: get('/proc'), body: 'abc' },
    ],
  },
  {
    title: 'request: no parameter, a class with handle, a name with dots',
    files: {
      'app.rb':
        'module Shop\n  class Basket\n    def handle(request) = "basket #{request.method}"\n  end\nend\n',
    },
    params: { handler: 'app.Shop::Basket' },
    shape: 'request',
    calls: [{ request: get('/'), body: 'basket GET' }],
  },
  {
    title: 'request: a handler that takes a context with request and logger',
    files: {
      'handler.rb':
        "def handler(context)\n  context.logger.info('seen')\n  \"hello #{context.request.headers['host']}\"\nend\n",
    },
    shape: 'request',
    calls: [{ request: get('/'), body: 'hello fn.example.test' }],
  },
  {
    title: 'request: a single method of another name, without parameter',
    files: { 'x.rb': 'def greet\n  "hello"\nend\n' },
    shape: 'request',
    calls: hello,
  },
  {
    title: 'rack: an object that responds to call',
    files: {
      'app.rb': `
App = lambda do |env|
  body = env['rack.input'].read
  [200, { 'content-type' => 'text/plain', 'set-cookie' => "a=1\\nb=2" }, [env['REQUEST_METHOD'], ' ', env['PATH_INFO'], ' ', env['QUERY_STRING'], ' ', env['HTTP_X_A'].to_s, ' ', body]]
end
`,
    },
    shape: 'rack',
    calls: [
      {
        request: post('/a%20b?c=d', 'text', 'text/plain', [['x-a', 'z']]),
        body: 'POST /a b c=d z text',
        headers: { 'content-type': 'text/plain', 'set-cookie': 'a=1' },
      },
    ],
  },
  {
    title: 'rack: a method that takes env',
    files: { 'app.rb': "def handle(env)\n  [200, {}, [env['rack.url_scheme']]]\nend\n" },
    shape: 'rack',
    calls: [{ request: get('/', [['x-forwarded-proto', 'https']]), body: 'https' }],
  },
  {
    title: 'rack: config.ru with middleware and map, with no rack in the package',
    files: {
      'config.ru': `
require_relative 'lib/shout'
use Shout, mark: '!'
map '/inner' do
  run ->(env) { [200, {}, [env['SCRIPT_NAME'], '|', env['PATH_INFO']]] }
end
run ->(env) { [200, {}, ['hello']] }
`,
      'lib/shout.rb': `
class Shout
  def initialize(app, mark:) = (@app, @mark = app, mark)
  def call(env)
    status, headers, body = @app.call(env)
    [status, headers.merge('x-mark' => @mark), body.map(&:upcase)]
  end
end
`,
    },
    shape: 'rack',
    calls: [
      { request: get('/'), body: 'HELLO', headers: { 'x-mark': '!' } },
      { request: get('/inner/deep'), body: '/INNER|/DEEP' },
    ],
  },
  {
    title: 'rack: bodies that stream: each with close, call, and a partial hijack',
    files: {
      'app.rb': `
$closed = 0
class Body
  def each
    yield 'one '
    yield 'two'
  end
  def close = $closed += 1
end
App = lambda do |env|
  case env['PATH_INFO']
  when '/each' then [200, {}, Body.new]
  when '/call' then [200, {}, ->(stream) { stream.write('called ', stream.read); stream.close }]
  when '/hijack' then [200, { 'rack.hijack' => ->(io) { io << 'hijacked'; io.close } }, []]
  when '/closed' then [200, {}, [$closed.to_s]]
  when '/raise' then raise ArgumentError, 'in the app'
  end
end
`,
    },
    shape: 'rack',
    calls: [
      { request: get('/each'), body: 'one two' },
      { request: get('/closed'), body: '1' },
      { request: post('/call', 'body', 'text/plain'), body: 'called body' },
      { request: get('/hijack'), body: 'hijacked' },
      { request: get('/raise'), status: 500, json: { message: 'ArgumentError: in the app' } },
    ],
  },
  {
    title: 'rack 2: the body can be read again, a large one too',
    files: {
      'lib/rack.rb': "module Rack\n  def self.release = '2.2.0'\nend\n",
      'app.rb': `
require 'rack'
App = lambda do |env|
  input = env['rack.input']
  first = input.read(10)
  input.rewind
  [200, {}, ["#{first} #{input.read.bytesize} #{input.read.inspect} #{input.read(1).inspect}"]]
end
`,
    },
    shape: 'rack',
    calls: [
      { request: post('/', 'z'.repeat(20), 'text/plain'), body: `${'z'.repeat(10)} 20 "" nil` },
      { request: post('/', 'z'.repeat(3_000_000), 'text/plain'), body: `${'z'.repeat(10)} 3000000 "" nil` },
      { request: get('/'), body: ' 0 "" nil' },
    ],
  },
  {
    title: 'gems of the Gemfile, from a frozen lock',
    files: {
      Gemfile: "gem 'greeter', path: 'greeter'\n",
      'Gemfile.lock':
        'PATH\n  remote: greeter\n  specs:\n    greeter (1.0.0)\n\nGEM\n  specs:\n\nPLATFORMS\n  ruby\n  x86_64-linux\n  aarch64-linux\n\nDEPENDENCIES\n  greeter!\n\nBUNDLED WITH\n   2.3.7\n',
      'greeter/greeter.gemspec':
        "Gem::Specification.new { |s| s.name = 'greeter'; s.version = '1.0.0'; s.summary = 'g'; s.authors = ['a']; s.files = ['lib/greeter.rb'] }\n",
      'greeter/lib/greeter.rb': "module Greeter\n  WORD = 'hello'\nend\n",
      'main.rb': "require 'greeter'\ndef handle(request) = Greeter::WORD\n",
    },
    shape: 'request',
    calls: hello,
    skip: withoutProgram('bundle'),
  },
];

describeShapes('ruby', withoutProgram('ruby'), cases);
