# frozen_string_literal: true

module PetrelRuntime
  # Values that handlers return, turned into responses; and the 500 of a handler that failed.
  module Answer
    JSON_TYPE = 'application/json'
    TEXT_TYPE = 'text/plain; charset=utf-8'
    BYTES_TYPE = 'application/octet-stream'
    HOP_BY_HOP = %w[connection keep-alive proxy-connection te trailer transfer-encoding upgrade].freeze
    NAME = /\A[!#$%&'*+\-.^_`|~0-9A-Za-z]+\z/.freeze

    class << self
      # The handler raised: 500, or, when the head is out already, a reset.
      def fail(exchange, error)
        return if exchange.finished? || error.is_a?(Aborted)

        stack = Errors.stack_of(error)
        warn "petrel: request #{exchange.request_id} failed: #{stack}"
        message = "#{error.class}: #{error.message}".scrub
        if exchange.started?
          exchange.reset('handler_error', Errors.development ? message : 'the function failed after its answer had begun')
          return
        end
        body = { component: 'function', reason: 'function_error', requestId: exchange.request_id }
        body = body.merge(message: message, stack: stack) if Errors.development
        exchange.respond(500, block('content-type' => JSON_TYPE), JSON.generate(body))
      end

      # True when the request was an upgrade, which no shape of this runtime can take.
      def refuse_upgrade(exchange)
        return false unless exchange.header('connection') == 'upgrade' && exchange.header('upgrade')

        body = {
          component: 'function', reason: 'upgrade_not_supported', requestId: exchange.request_id,
          message: 'This handler has no notion of an upgrade. Run as a program on $PORT.'
        }
        exchange.respond(501, block('content-type' => JSON_TYPE), JSON.generate(body))
        true
      end

      def status(value)
        number = Integer(value)
        return number if number.between?(200, 599)

        raise ArgumentError, "the handler returned status #{number}; a status is a whole number from 200 to 599"
      end

      # Header lines of a hash (values may be lists) or of pairs. Raises ArgumentError for what would forge another line.
      def block(headers)
        (headers || {}).each_with_object(String.new(encoding: Encoding::BINARY)) do |(name, value), lines|
          (value.is_a?(Array) ? value : [value]).each { |one| lines << line(name.to_s, one.to_s) unless one.nil? }
        end
      end

      # Answers with what a handler returned. Pieces of a stream go out as they come.
      def respond(exchange, value)
        status, headers, body, type = parts(value)
        headers = [*headers, ['content-type', type]] if type && headers.none? { |name, _| name.to_s.casecmp?('content-type') }
        status = status ? self.status(status) : (body.nil? ? 204 : 200)
        block = block(headers)
        return exchange.respond(status, block, body || '') if body.nil? || body.is_a?(String)

        exchange.start(status, block)
        pour(exchange, body)
        exchange.finish
      end

      # A body that is made while it is sent: something with `call(stream)`, `readpartial` or `each`.
      def pour(exchange, body)
        if body.respond_to?(:call)
          body.call(Stream.new(exchange))
        elsif body.respond_to?(:readpartial)
          exchange.write(body.readpartial(65_536)) until body.eof?
        else
          body.each { |chunk| exchange.write(bytes(chunk)) }
        end
      ensure
        body.close if body.respond_to?(:close)
      end

      def bytes(chunk)
        chunk.is_a?(String) ? chunk : chunk.to_s
      end

      private

      def line(name, value)
        raise ArgumentError, "invalid header name: #{name.inspect}" unless name.match?(NAME)
        raise ArgumentError, "invalid header value: #{value.inspect}" if value.match?(/[\r\n\0]/n)
        return '' if HOP_BY_HOP.include?(name.downcase)

        value = value.encode(Encoding::ISO_8859_1) unless value.encoding == Encoding::BINARY
        "#{name.downcase}: ".b << value.b << "\r\n"
      rescue EncodingError
        raise ArgumentError, "a header value must be latin1: #{value.inspect}"
      end

      # [status or nil, header pairs, body: String, nil or a stream, type or nil]
      def parts(value)
        case value
        when ::Petrel::Response
          _, _, body, type = parts(value.body)
          [value.status, value.headers.to_a, body, type]
        when nil then [nil, [], nil, nil]
        when String then [nil, [], value, value.encoding == Encoding::BINARY ? BYTES_TYPE : TEXT_TYPE]
        when Array
          return [nil, [], JSON.generate(value), JSON_TYPE] unless triple?(value)

          _, _, body, type = parts(value[2])
          # A Rack body is a list of strings.
          body, type = [value[2].join, nil] if value[2].is_a?(Array) && value[2].all?(String)
          [value[0], value[1].to_a, body, type]
        when Hash, Struct, Numeric, true, false, Symbol then [nil, [], JSON.generate(value), JSON_TYPE]
        else
          stream = %i[call readpartial each].any? { |name| value.respond_to?(name) } && !value.respond_to?(:to_h)
          stream ||= value.is_a?(Enumerator) || value.respond_to?(:readpartial)
          stream ? [nil, [], value, BYTES_TYPE] : [nil, [], JSON.generate(value), JSON_TYPE]
        end
      end

      def triple?(value)
        value.size == 3 && value[0].is_a?(Integer) && value[1].is_a?(Hash)
      end
    end
  end

  # What a body that writes itself gets; Rack's streaming bodies know its methods.
  class Stream
    def initialize(exchange, input = nil)
      @exchange = exchange
      @input = input
      @closed = false
    end

    def write(*chunks)
      chunks.sum do |chunk|
        bytes = Answer.bytes(chunk)
        @exchange.write(bytes)
        bytes.bytesize
      end
    end

    def <<(chunk)
      write(chunk)
      self
    end

    def read(*arguments)
      @input ? @input.read(*arguments) : nil
    end

    def flush
      self
    end

    def close(*)
      @closed = true
      @exchange.finish
      nil
    end
    alias close_write close

    def close_read; end

    def closed?
      @closed
    end
  end
end
