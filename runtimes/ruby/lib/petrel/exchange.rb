# frozen_string_literal: true

require_relative 'frames'

module PetrelRuntime
  # The request has ended early: the client went away, or its time is over. `code` is the reset's code.
  class Aborted < IOError
    attr_reader :code

    def initialize(code, message)
      super(message)
      @code = code
    end
  end

  # One request and its response. Fed by the connection's reader thread, used by the thread of a handler.
  class Exchange
    F = Frames
    INLINE_BODY = 65_536
    GRANT_STEP = F::WINDOW_SIZE / 4

    attr_reader :id, :method, :target, :headers, :aborted, :has_body

    def initialize(connection, host, id, head, has_body)
      @connection = connection
      @host = host
      @id = id
      @has_body = has_body
      first, *lines = head.split("\r\n")
      @method, @target = first.split(' ', 2)
      @headers = lines.filter_map do |line|
        name, value = line.split(':', 2)
        [name, value.strip] if value
      end
      # One lock guards both directions: waits are rare, and only of this request's own thread.
      @lock = Mutex.new
      @changed = ConditionVariable.new
      @queue = []
      @ended = !has_body
      @aborted = nil
      @received = 0
      @allowed = F::WINDOW_SIZE
      @consumed = 0
      @send_window = F::WINDOW_SIZE
      @started = false
      @finished = false
    end

    def started?
      @started
    end

    def finished?
      @finished
    end

    def inspect
      "#<request #{request_id} #{@method} #{@target}>"
    end

    # The first header of that name, bytes; nil when there is none.
    def header(name)
      @headers.each { |key, value| return value if key == name }
      nil
    end

    def request_id
      header('x-request-id') || ''
    end

    def scheme
      header('x-forwarded-proto') == 'https' ? 'https' : 'http'
    end

    # ---- called by the reader thread ----

    def receive(chunk)
      @lock.synchronize do
        raise F::ProtocolError, "DATA after END on stream #{@id}" if @ended

        @received += chunk.bytesize
        raise F::ProtocolError, "stream #{@id} sent past its window" if @received > @allowed

        @queue << chunk unless chunk.empty?
        @changed.broadcast
      end
    end

    def receive_end
      @lock.synchronize do
        raise F::ProtocolError, "a second END on stream #{@id}" if @ended

        @ended = true
        @changed.broadcast
      end
    end

    def granted(count)
      @lock.synchronize do
        @send_window += count
        @changed.broadcast
      end
    end

    # The exchange has ended early.
    def over(error)
      unfinished = @lock.synchronize do
        return if @aborted

        @aborted = error
        @changed.broadcast
        was = !@finished
        @finished = true
        was
      end
      @connection.forget(self)
      @host.answered if unfinished
    end

    # ---- the request body ----

    # The next bytes of the body, nil at its end. Blocks. Raises Aborted.
    def read_chunk
      grant = 0
      chunk = @lock.synchronize do
        @changed.wait(@lock) while @queue.empty? && !@ended && !@aborted
        if @queue.empty?
          return nil if @ended

          raise @aborted
        end
        one = @queue.shift
        @consumed += one.bytesize
        if @consumed >= GRANT_STEP && !@ended && !@aborted
          grant = @consumed
          @allowed += grant
          @consumed = 0
        end
        one
      end
      @connection.send_frame(F.encode(F::WINDOW, @id, [grant].pack('V'))) if grant.positive?
      chunk
    end

    # ---- the response ----

    # Head and whole body.
    def respond(status, block, body)
      return if @finished || @started

      bodyless = @method == 'HEAD' || status == 304
      if bodyless || body.bytesize > INLINE_BODY
        unless block.include?('content-length: ') || (status == 304 && body.empty?)
          block += "content-length: #{body.bytesize}\r\n"
        end
        start(status, block)
        write(body) unless bodyless
        finish
        return
      end
      @started = true
      body = '' if status == 204
      complete(F.encode(F::RESPONSE, @id, head(status, block) << body.b))
    end

    # The head; the body follows with `write` and `finish`.
    def start(status, block)
      return if @finished || @started

      @started = true
      @connection.send_frame(F.encode(F::RESPONSE_BODY, @id, head(status, block)))
    end

    # Sends all of it, waiting for the window. Raises Aborted.
    def write(body)
      return if @method == 'HEAD'

      at = 0
      total = body.bytesize
      while at < total
        size = @lock.synchronize do
          @changed.wait(@lock) while @send_window.zero? && !@aborted
          raise @aborted if @aborted

          one = [total - at, @send_window, F::MAX_DATA].min
          @send_window -= one
          one
        end
        @connection.send_frame(F.encode(F::DATA, @id, body.byteslice(at, size)))
        at += size
      end
    end

    def finish
      complete(F.encode(F::ENDED, @id)) unless @finished
    end

    def reset(code, message)
      return if @finished

      @connection.send_frame(F.encode_json(F::RESET, @id, { code: code, message: message }))
      over(Aborted.new(code, message))
    end

    private

    def head(status, block)
      [status, block.bytesize].pack('vV') << block.b
    end

    def complete(last)
      @lock.synchronize do
        return if @finished

        @finished = true
      end
      @connection.forget(self)
      @connection.send_frame(last)
      @host.answered
      return if @ended

      # What is still unread of the body would never come: the gateway stops sending it.
      @lock.synchronize do
        @aborted ||= Aborted.new('complete', 'the response is complete')
        @changed.broadcast
      end
    end
  end
end
