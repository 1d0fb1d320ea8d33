# frozen_string_literal: true

require_relative 'exchange'

module PetrelRuntime
  # One accepted connection of the instance's socket, with a thread that reads it. `host` is the supervisor.
  class Connection
    F = Frames
    attr_reader :role

    def initialize(socket, host)
      @socket = socket
      @host = host
      @role = nil
      @going_away = false
      @last_stream = 0
      @exchanges = {}
      @guard = Mutex.new
      @writing = Mutex.new
      Thread.new { read }
    end

    def exchanges
      @guard.synchronize { @exchanges.values }
    end

    def send_frame(bytes)
      @writing.synchronize { @socket.write(bytes) }
    rescue IOError, SystemCallError
      nil # the reader notices the end and tells everyone
    end

    def forget(exchange)
      @guard.synchronize { @exchanges.delete(exchange.id) }
    end

    def goaway
      # The mark first: what the peer sends after it has seen GOAWAY must find it.
      announced, @going_away = @going_away, true
      send_frame(F.encode(F::GOAWAY, 0)) if @role == 'data' && !announced
    end

    # Shuts the socket down; the reader ends with it.
    def close
      @socket.shutdown
    rescue IOError, SystemCallError
      nil
    end

    private

    def read
      held = String.new(encoding: Encoding::BINARY)
      chunk = String.new(encoding: Encoding::BINARY)
      loop do
        @socket.readpartial(262_144, chunk)
        held = F.cut(held.empty? ? chunk.dup : held << chunk) { |kind, stream, payload| frame(kind, stream, payload) }
      end
    rescue F::ProtocolError => error
      warn "petrel: protocol error from the platform: #{error.message}; connection closed"
    rescue IOError, SystemCallError
      nil
    ensure
      @socket.close
      gone = Aborted.new('cancelled', 'the connection to the gateway has closed')
      exchanges.each { |exchange| exchange.over(gone) }
      @host.closed(self)
    end

    def json(payload)
      value = JSON.parse(payload.force_encoding(Encoding::UTF_8))
      value.is_a?(Hash) ? value : raise(F::ProtocolError, 'a payload that is not a JSON object')
    rescue JSON::ParserError, EncodingError
      raise F::ProtocolError, 'a payload that is not a JSON object'
    end

    def hello(kind, payload)
      raise F::ProtocolError, 'the first frame is not HELLO' unless kind == F::HELLO

      hello = json(payload)
      raise F::ProtocolError, "version #{hello['version']}, this instance speaks 1" unless hello['version'] == 1
      raise F::ProtocolError, "no such role: #{hello['role']}" unless %w[data control].include?(hello['role'])

      @role = hello['role']
      send_frame(F.encode_json(F::HELLO, 0, @host.hello))
      @host.opened(self)
    end

    def frame(kind, stream, payload)
      return hello(kind, payload) unless @role

      case kind
      when F::REQUEST, F::REQUEST_BODY then request(kind, stream, payload)
      when F::DATA, F::ENDED, F::RESET, F::WINDOW then on_stream(kind, stream, payload)
      when F::PING
        raise F::ProtocolError, 'a PING that is not 8 bytes' unless payload.bytesize == 8

        @host.when_able { send_frame(F.encode(F::PONG, 0, payload)) }
      when F::CALL then call(payload)
      when F::PONG then nil
      else
        raise F::ProtocolError, "frame type #{kind} is not for an instance" if kind <= F::GOAWAY
      end
    end

    def request(kind, stream, payload)
      raise F::ProtocolError, "unexpected REQUEST, stream #{stream}" if @role != 'data' || stream <= @last_stream

      @last_stream = stream
      raise F::ProtocolError, 'a request head without method and target' unless payload.index(' ')&.positive?

      exchange = Exchange.new(self, @host, stream, payload, kind == F::REQUEST_BODY)
      @guard.synchronize { @exchanges[stream] = exchange }
      if @going_away
        @host.counted
        exchange.reset('draining', 'this instance is draining')
      else
        @host.request(exchange)
      end
    end

    def on_stream(kind, stream, payload)
      exchange = @guard.synchronize { @exchanges[stream] }
      if exchange.nil?
        # For a stream that is over a frame is late, not wrong; for one that never began it is wrong.
        return unless @role != 'data' || stream.zero? || stream > @last_stream

        raise F::ProtocolError, "frame #{kind} for stream #{stream}, which never began"
      end
      case kind
      when F::DATA
        if payload.bytesize > F::MAX_DATA
          raise F::ProtocolError, "DATA of #{payload.bytesize} bytes, at most #{F::MAX_DATA} are allowed"
        end

        exchange.receive(payload)
      when F::ENDED then exchange.receive_end
      when F::RESET
        reason = json(payload)
        code = (reason['code'] || 'cancelled').to_s
        exchange.over(Aborted.new(code, (reason['message'] || code).to_s))
      else
        raise F::ProtocolError, 'a WINDOW that is not 4 bytes' unless payload.bytesize == 4

        exchange.granted(payload.unpack1('V'))
      end
    end

    def call(payload)
      raise F::ProtocolError, 'CALL on a data connection' if @role == 'data'

      call = json(payload)
      unless call['id'].is_a?(Integer) && call['method'].is_a?(String)
        raise F::ProtocolError, 'a CALL without id or method'
      end

      @host.call(self, call)
    end
  end
end
