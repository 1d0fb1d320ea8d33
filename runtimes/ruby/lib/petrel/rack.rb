# frozen_string_literal: true

module PetrelRuntime
  # Rack applications: config.ru, the environment of a request, and the answer with its kinds of bodies.
  module RackUp
    # Rack 2 has one word for both hijacks, and only the partial one exists here.
    NO_HIJACK = -> { raise NotImplementedError, 'the ruby runtime has no full hijack; deploy a server of your own with a Procfile' }
    SEPARATE = %w[CONTENT_TYPE CONTENT_LENGTH].freeze

    # What config.ru says when the package brings no rack: run, use, map, and the like.
    class Builder
      def initialize(&block)
        @uses = []
        @maps = {}
        @run = nil
        instance_eval(&block) if block
      end

      def use(middleware, *arguments, **options, &block)
        @uses << ->(app) { middleware.new(app, *arguments, **options, &block) }
      end

      def run(app = nil, &block)
        @run = app || block
      end

      def map(path, &block)
        @maps[path.chomp('/')] = Builder.new(&block).to_app
      end

      def warmup(prc = nil, &block)
        @warmup = prc || block
      end

      def freeze_app; end

      def to_app
        app = @maps.empty? ? @run : mapped(@run, @maps)
        raise 'config.ru says nowhere what to run' unless app

        app = @uses.reverse.reduce(app) { |inner, use| use.call(inner) }
        @warmup&.call(app)
        app
      end

      private

      def mapped(fallback, maps)
        ordered = maps.sort_by { |path, _| -path.size }
        lambda do |env|
          path = env['PATH_INFO']
          prefix, app = ordered.find { |one, _| path == one || path.start_with?("#{one}/") }
          next (fallback || NOT_FOUND).call(env) unless app

          inner = env.merge('SCRIPT_NAME' => env['SCRIPT_NAME'] + prefix, 'PATH_INFO' => path[prefix.size..])
          app.call(inner)
        end
      end

      NOT_FOUND = ->(_env) { [404, { 'content-type' => 'text/plain' }, ['Not Found']] }
    end

    class << self
      # The application of a config.ru: by the rack of the package, otherwise by the builder above.
      def load(file)
        begin
          require 'rack'
        rescue LoadError
          nil
        end
        return [::Rack::Builder.parse_file(file)].flatten.first if defined?(::Rack::Builder)

        builder = Builder.new
        builder.instance_eval(File.read(file).sub(/^__END__\n.*/m, ''), file)
        builder.to_app
      end

      def serve(app, exchange)
        input = rewinds? ? RewindableInput.new(exchange) : Input.new(exchange)
        environment = environment(exchange, input)
        status, headers, body = app.call(environment)
        headers = headers.to_h
        hijack = headers['rack.hijack']
        block = Answer.block(pairs(headers))
        status = Answer.status(status)
        list = body.respond_to?(:to_ary) && !hijack
        if list
          exchange.respond(status, block, body.to_ary.join)
        else
          exchange.start(status, block)
          if hijack
            hijack.call(Stream.new(exchange, input))
          else
            body.respond_to?(:each) ? body.each { |chunk| exchange.write(chunk) } : body.call(Stream.new(exchange, input))
          end
          exchange.finish unless hijack
        end
      ensure
        body.close if body.respond_to?(:close)
        input&.close
        (environment&.fetch('rack.response_finished', nil) || []).reverse_each { |act| act.call(environment, status, headers, nil) }
      end

      private

      # Applications of Rack 2 may read the body twice; since Rack 3 they may not.
      def rewinds?
        return @rewinds unless @rewinds.nil?

        @rewinds = defined?(::Rack.release) ? ::Rack.release.to_i < 3 : false
      end

      # Rack 2 puts several values of a name into lines of one string, Rack 3 into a list.
      def pairs(headers)
        headers.filter_map do |name, value|
          [name, value.is_a?(String) ? value.split("\n") : value] unless name.start_with?('rack.')
        end
      end

      def environment(exchange, input)
        path, query = exchange.target.split('?', 2)
        host, port = (exchange.header('host') || 'localhost').split(':', 2)
        environment = {
          'REQUEST_METHOD' => exchange.method,
          'SCRIPT_NAME' => '',
          'PATH_INFO' => ::Petrel::Request.unescape(path),
          'QUERY_STRING' => query || '',
          'REQUEST_URI' => exchange.target,
          'SERVER_NAME' => host,
          'SERVER_PORT' => port || (exchange.scheme == 'https' ? '443' : '80'),
          'SERVER_PROTOCOL' => 'HTTP/1.1',
          'REMOTE_ADDR' => (exchange.header('x-forwarded-for') || '127.0.0.1').split(',').last.strip,
          'rack.version' => [1, 3],
          'rack.url_scheme' => exchange.scheme,
          'rack.input' => input,
          'rack.errors' => $stderr,
          'rack.multithread' => true,
          'rack.multiprocess' => false,
          'rack.run_once' => false,
          'rack.hijack?' => true,
          'rack.response_finished' => []
        }
        environment['rack.hijack'] = NO_HIJACK if rewinds?
        exchange.headers.each do |key, value|
          name = key.upcase.tr('-', '_')
          name = "HTTP_#{name}" unless SEPARATE.include?(name)
          held = environment[name]
          environment[name] = held ? "#{held}#{name == 'HTTP_COOKIE' ? '; ' : ', '}#{value}" : value
        end
        environment
      end
    end
  end
end
