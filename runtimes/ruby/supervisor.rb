# frozen_string_literal: true

# The supervisor of the ruby runtime: one process, one instance. Speaks runtimes/PROTOCOL.md on the unix socket named by
# PETREL_SOCKET, is specialised at most once, and ends when its platform does.
#
# A thread reads each connection; handlers run on worker threads; user code is loaded on the main thread.

seconds = ->(name, fallback) { Integer(ENV[name] || fallback) / 1000.0 }
PETREL_OPTIONS = {
  socket: ENV.fetch('PETREL_SOCKET', ''),
  # Life after the last control connection has closed, and without one ever.
  control_grace: seconds.call('PETREL_CONTROL_GRACE_MS', 10_000),
  orphan: seconds.call('PETREL_ORPHAN_MS', 60_000),
  load: seconds.call('PETREL_LOAD_TIMEOUT_MS', 30_000),
  # Requests in flight at SIGTERM.
  term_grace: seconds.call('PETREL_TERM_GRACE_MS', 25_000),
}.freeze
ENV.delete_if { |name, _| name.start_with?('PETREL_') }

require 'socket'
require 'json'
# Only what HELLO needs is loaded before it; the rest follows while nobody waits, or with `specialise`.
require_relative 'lib/petrel/connection'
require_relative 'lib/petrel/errors'

module PetrelRuntime
  # The state of this instance, and what its connections and its loader ask of it.
  class Supervisor
    F = Frames
    KINDS = {
      'code' => String, 'entry' => String, 'handler' => String, 'shape' => String, 'cache' => String,
      'workdir' => String, 'env' => Hash, 'port' => Integer, 'timeoutMs' => Numeric, 'concurrency' => Integer,
      'function' => String, 'namespace' => String
    }.freeze

    def initialize
      @state = 'generic'
      @dispatch = nil
      @in_flight = 0
      @lock = Mutex.new
      @idle = ConditionVariable.new
      @connections = []
      @controls = 0
      @lonely = nil
      @draining = false
      @leaving = false
      @warmed = false
      @workers = nil
      @concurrency = 0
      # Work for the main thread.
      @jobs = Queue.new
    end

    def run
      loop { @jobs.pop.call }
    end

    # ---- asked by connections ----

    def hello
      state = @state == 'specialising' ? 'generic' : @state
      { version: 1, runtime: 'ruby', language: RUBY_VERSION, pid: Process.pid, state: state }
    end

    def counted
      @lock.synchronize { @in_flight += 1 }
    end

    def request(exchange)
      counted
      if @dispatch
        @dispatch.call(exchange)
      else
        exchange.reset('overloaded', "this instance is #{@state} and takes no requests here")
      end
    end

    def answered
      @lock.synchronize do
        @in_flight -= 1
        @idle.broadcast if @in_flight.zero?
      end
    end

    def opened(connection)
      @lock.synchronize do
        @connections << connection
        if connection.role == 'control'
          @controls += 1
          company
          unless @warmed
            @warmed = true
            @jobs << -> { warm_up }
          end
        end
      end
      connection.goaway if @draining
    end

    def closed(connection)
      @lock.synchronize do
        next unless @connections.delete(connection) && connection.role == 'control'

        @controls -= 1
        alone(PETREL_OPTIONS[:control_grace]) if @controls.zero?
      end
    end

    # Without a platform the instance ends.
    def alone(seconds)
      company
      @lonely = Thread.new do
        sleep seconds
        leave(0)
      end
    end

    def call(connection, call)
      answer = ->(value) { connection.send_frame(F.encode_json(F::RESULT, 0, { id: call['id'], **value })) }
      params = call['params'].is_a?(Hash) ? call['params'] : {}
      case call['method']
      when 'specialise' then specialise(params, answer)
      when 'health' then answer.call(result: { state: hello[:state], inFlight: @in_flight })
      when 'drain'
        seconds = (params['graceMs'] || 30_000).to_f / 1000
        Thread.new { answer.call(result: { left: drain(seconds) }) }
      when 'shutdown'
        answer.call(result: {})
        leave(0)
      else answer.call(error: { code: 'BadRequest', message: "no such method: #{call['method']}" })
      end
    end

    # Calls the block when a request that comes now would be worked on: a PONG says so.
    def when_able(&act)
      @workers ? @workers.when_able(&act) : act.call
    end

    # ---- asked by the loader ----

    def workers
      @workers ||= Workers.new(@concurrency.positive? ? @concurrency : Workers::MAX_THREADS)
    end

    # A handler called exit.
    def on_exit(error)
      text = ["the handler called exit(#{error.status})", error.message == 'exit' ? nil : error.message].compact.join(': ')
      crash('exit', text, Errors.stack_of(error), error.status.zero? ? 1 : error.status)
    end

    # ---- the end ----

    # Takes no new requests; returns how many are left when the time is over.
    def drain(seconds)
      @draining = true
      @lock.synchronize { @connections.dup }.each(&:goaway)
      deadline = now + seconds
      @lock.synchronize do
        while @in_flight.positive? && (left = deadline - now).positive?
          @idle.wait(@lock, left)
        end
        @in_flight
      end
    end

    def crash(reason, message, detail, code)
      @state = 'failed'
      all = @lock.synchronize { @connections.dup }
      all.each(&:goaway) # first, so that nothing new is sent here
      told = Errors.development ? message : 'the instance crashed while it worked on this request'
      all.each do |connection|
        connection.exchanges.each { |exchange| exchange.reset('crashed', told) }
        next unless connection.role == 'control'

        event = { event: 'failed', reason: reason, message: message, detail: detail }
        connection.send_frame(F.encode_json(F::EVENT, 0, event))
      end
      leave(code)
    end

    def leave(code)
      @lock.synchronize do
        return if @leaving

        @leaving = true
      end
      [$stdout, $stderr].each do |stream|
        stream.flush
      rescue IOError, SystemCallError
        nil
      end
      @connections.dup.each(&:close)
      exit!(code)
    end

    # SIGTERM is acted on by a thread: a handler of Ruby's may not take locks.
    def watch_sigterm
      reading, writing = IO.pipe
      trap('TERM') { writing.write_nonblock('.', exception: false) }
      Thread.new do
        reading.readpartial(1)
        drain(PETREL_OPTIONS[:term_grace])
        leave(0)
      end
    end

    private

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    def company
      @lonely&.kill unless @lonely == Thread.current
      @lonely = nil
    end

    # Loads what the first function would wait for.
    def warm_up
      require 'rubygems' unless defined?(Gem)
      require_relative 'lib/petrel/loader'
    end

    def specialise(params, answer)
      raise SpecialiseError.new('AlreadySpecialised', "this instance is #{@state} already") unless @state == 'generic'

      check(params)
      @state = 'specialising'
      @jobs << -> { load(params, answer) }
    rescue SpecialiseError => error
      answer.call(error: error.to_h)
    end

    def check(params)
      KINDS.each do |name, kind|
        value = params[name]
        next if value.nil? ? name != 'code' : value.is_a?(kind)

        raise SpecialiseError.new('BadRequest', "specialise: #{name} has the wrong type")
      end
      return if File.directory?(params['code'])

      raise SpecialiseError.new('BadRequest', "specialise: #{params['code']} is not a directory")
    end

    def load(params, answer)
      began = now
      Errors.root = File.realpath(params['code'])
      timer = Thread.new do
        sleep PETREL_OPTIONS[:load]
        message = "#{params['entry'] || 'the package'} did not finish loading within #{PETREL_OPTIONS[:load].round} s"
        detail = "#{message}\n#{Errors.stack_of_thread(Thread.main)}".strip
        fail_load(SpecialiseError.new('LoadError', message, detail: detail), params, answer)
      end
      (params['env'] || {}).each { |name, value| ENV[name] = value.to_s }
      ENV['PORT'] ||= params['port'].to_s if params['port']
      warm_up
      Errors.development = params['development'] == true
      @concurrency = params['concurrency'] || 0
      Dir.chdir(params['workdir'] || params['code'])
      shape, @dispatch = Loader.load(params, self)
      timer.kill.join
      @state = 'specialised'
      took = ((now - began) * 1000).round(2)
      answer.call(result: { shape: shape, loadMs: took, transport: { kind: 'mux' } })
    rescue Exception => error # rubocop:disable Lint/RescueException -- an exit while loading is the code's fault too
      fail_load(error, params, answer)
    end

    def fail_load(error, params, answer)
      @state = 'failed'
      answer.call(error: Errors.load_error(error, params['entry']).to_h)
      leave(1)
    end
  end
end

abort 'petrel: PETREL_SOCKET is not set: the ruby runtime is started by the platform' if PETREL_OPTIONS[:socket].empty?
# Standard input is at its end for user code, whatever the process was started with.
$stdin.reopen(File::NULL)
$stdout.sync = true
# A thread of the function's own that fails says so, and harms nobody else.
Thread.report_on_exception = true
supervisor = PetrelRuntime::Supervisor.new
supervisor.watch_sigterm
begin
  File.unlink(PETREL_OPTIONS[:socket]) if File.exist?(PETREL_OPTIONS[:socket])
  server = UNIXServer.new(PETREL_OPTIONS[:socket])
rescue SystemCallError => error
  warn "petrel: cannot listen on #{PETREL_OPTIONS[:socket]}: #{error.message}"
  exit!(2)
end
server.listen(128)
supervisor.alone(PETREL_OPTIONS[:orphan])
Thread.new { loop { PetrelRuntime::Connection.new(server.accept, supervisor) } }
supervisor.run
