/** The contract suite for the ruby runtime. */
import { contract } from '../contract.ts';
import { withoutProgram } from '../instance.ts';
import { oneFile } from '../language.ts';

const ruby = oneFile('fn.rb');

contract({
  runtime: 'ruby',
  missing: withoutProgram('ruby'),
  transport: 'mux',
  trace: /fn\.rb/,
  cwd: /\/code$/,
  everything: ruby(`
$produced = $aborted = $busy = $most = 0
$lock = Mutex.new
$opened = {}
def gate(name)
  sleep 0.002 until $opened[name.to_s]
end
class Events
  def each
    3.times { |n| gate(n) if n > 0; yield "data: #{n}\\n\\n" }
  end
end
def big(left)
  Enumerator.new do |out|
    while left > 0
      size = [left, 65536].min
      left -= size
      $produced += size
      out << 'x' * size
    end
  end
end
def slow_read(request)
  request.stream.readpartial(65536)
  gate('read')
  "rest #{request.each.sum(&:bytesize)}"
end
def hang(request)
  begin
    request.body
  rescue IOError
    nil
  end
  sleep 0.002 until request.cancelled?
  $aborted += 1
  raise 'late'
end
def nap(request)
  $lock.synchronize { $busy += 1; $most = [$most, $busy].max }
  sleep request.query['ms'].to_i / 1000.0
  $lock.synchronize { $busy -= 1 }
  'slept'
end
def status(request)
  code = request.query['code'].to_i
  Petrel::Response.new([204, 304].include?(code) ? nil : "body of #{code}", status: code)
end
ROUTES = {
  '/echo' => ->(r) { [200, { 'content-type' => r.content_type || 'none' }, r.body] },
  '/echo-stream' => ->(r) { Petrel::Response.new(r.each) },
  '/describe' => ->(r) { { method: r.method, path: r.path, query: r.query_values.flat_map { |k, all| all.map { |v| [k, v] } }, headers: r.headers.to_h, body: r.text } },
  '/json' => ->(r) { { got: r.json } },
  '/headers' => ->(_) { Petrel::Response.new('ok', headers: { 'x-latin1' => "caf\\u00e9", 'content-type' => 'text/plain', 'Set-Cookie' => ['a=1; Path=/', 'b=2'] }) },
  '/status' => method(:status),
  '/sse' => ->(_) { Petrel::Response.new(Events.new, content_type: 'text/event-stream') },
  '/open' => ->(r) { $opened[r.query_string] = true; 'opened' },
  '/big' => ->(r) { big(r.query['bytes'].to_i) },
  '/produced' => ->(_) { $produced.to_s },
  '/slow-read' => method(:slow_read),
  '/throw' => ->(_) { raise TypeError, 'thrown in the handler' },
  '/reject' => ->(_) { Thread.new { Thread.current.report_on_exception = false; raise 'rejected in the handler' }.join },
  '/hang' => method(:hang),
  '/aborted' => ->(_) { $aborted.to_s },
  '/hang-deaf' => ->(_) { loop { sleep 1 } },
  '/sleep' => method(:nap),
  '/most' => ->(_) { $most.to_s },
  '/exit' => ->(_) { exit!(3) },
  '/environment' => ->(_) { { env: ENV.to_h, cwd: Dir.pwd, args: ARGV } },
  '/stdin' => ->(_) { "stdin #{$stdin.read.size}" },
  '/log' => ->(_) { puts 'a line of output'; warn 'a line of errors'; 'logged' },
  '/break-stream' => ->(_) { Enumerator.new { |out| out << 'begun'; raise 'broke off' } },
  '/bad-header' => ->(_) { [200, { 'x-evil' => "a\\r\\nx-forged: 1" }, ['x']] },
}
def handle(request)
  ROUTES[request.path].call(request)
end
`),
  crash: ruby(`
def handle(request)
  abort 'thrown by a timer' if %w[/crash /reject].include?(request.path)
  sleep
end
`),
  hanging: {
    files: { 'f.rb': 'def handle\n  sleep 0.01 until File.exist?(ENV["GO"])\n  ""\nend\n' },
    entry: 'f.rb',
  },
  failures: {
    'a syntax error': {
      source: ruby('a = 1\nb = = 2\n'),
      says: /^SyntaxError: syntax error.*\nfn\.rb:2: syntax error/,
      file: 'fn.rb',
      line: 2,
      shows: 'b = = 2',
    },
    'a syntax error in a file that is imported': {
      source: {
        files: { 'fn.rb': "require_relative 'lib/dep'\n", 'lib/dep.rb': '\n\nx = {;\n' },
        entry: 'fn.rb',
      },
      says: /SyntaxError/,
      file: 'lib/dep.rb',
      line: 3,
      shows: 'x = {;',
    },
    'a module that is not there': {
      source: ruby("\nrequire 'not_installed'\n"),
      says: /cannot load such file -- not_installed/,
      file: 'fn.rb',
      line: 2,
      shows: "require 'not_installed'",
    },
    'a module that is not there, two files deep': {
      source: { files: { 'fn.rb': "require 'dep'\n", 'dep.rb': "\n\nrequire 'gone'\n" }, entry: 'fn.rb' },
      says: /cannot load such file -- gone/,
      file: 'dep.rb',
      line: 3,
    },
    'a throw while loading': {
      source: ruby("def set_up\n  raise TypeError, 'no database'\nend\nset_up\n"),
      says: /TypeError: no database/,
      file: 'fn.rb',
      line: 2,
      shows: "raise TypeError, 'no database'",
    },
    'loading that fails later': {
      source: ruby("Thread.new { sleep 0.005; raise 'top level rejection' }.join\n"),
      says: /top level rejection/,
      file: 'fn.rb',
    },
    'loading that never ends': {
      source: ruby('sleep\n'),
      says: /did not finish loading within[\s\S]*fn\.rb:1/,
    },
    'no handler among the exports': {
      source: ruby('ANSWER = 42\nclass Thing; end\n'),
      says: /ANSWER \(Integer\), Thing \(Class\)/,
    },
    'a named handler that is not exported': {
      source: { ...ruby('def handle(request); end\n'), handler: 'handel' },
      says: /handel.*handle \(method\)/,
    },
    'an entry that is not in the package': {
      source: { files: { 'fn.rb': '' }, entry: 'other.rb' },
      says: /no file other\.rb.*fn\.rb/,
    },
    'an entry outside the package': {
      source: { files: { 'fn.rb': '' }, entry: '../../etc/passwd' },
      says: /outside the package/,
    },
    'code that exits while it is loaded': { source: ruby("abort 'gave up'\n"), says: /gave up/ },
  },
  lacks: { programs: 'a Ruby program that listens on $PORT is deployed with a Procfile' },
});
