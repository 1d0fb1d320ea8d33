# frozen_string_literal: true

require 'stringio'
require_relative '../petrel'

module PetrelRuntime
  # The request body as an IO to read from: bytes as they come, nothing held that is not asked for.
  class Input
    def initialize(exchange)
      @exchange = exchange
      @rest = String.new(encoding: Encoding::BINARY)
      @ended = false
    end

    # As IO#read: everything, or `length` bytes and nil at the end.
    def read(length = nil, buffer = nil)
      nil while (length.nil? || @rest.bytesize < length) && more
      bytes = length ? take(length) : take(@rest.bytesize)
      bytes = nil if length&.positive? && bytes.empty?
      buffer ? buffer.replace(bytes || '') && (bytes && buffer) : bytes
    end

    # As IO#readpartial: what there is, at most `length` bytes. Raises EOFError at the end.
    def readpartial(length, buffer = nil)
      nil while @rest.empty? && more
      raise EOFError, 'end of the request body' if @rest.empty?

      bytes = take(length)
      buffer ? buffer.replace(bytes) : bytes
    end

    def gets(separator = "\n")
      return read.then { |all| all.empty? ? nil : all } if separator.nil?

      at = nil
      nil while (at = @rest.index(separator.b)).nil? && more
      return (@rest.empty? ? nil : take(@rest.bytesize)) unless at

      take(at + separator.bytesize)
    end

    # Each line, as IO#each.
    def each
      while (line = gets)
        yield line
      end
    end

    # Each piece as it comes.
    def each_chunk
      while !@rest.empty? || more
        yield take(@rest.bytesize)
      end
    end

    def eof?
      nil while @rest.empty? && more
      @rest.empty?
    end

    def close; end

    def inspect
      '#<the body of the request>'
    end

    private

    def more
      return false if @ended

      chunk = @exchange.read_chunk
      @ended = true if chunk.nil?
      @rest << chunk if chunk
      !@ended
    end

    def take(length)
      return @rest.slice!(0, length) if length < @rest.bytesize

      all = @rest
      @rest = String.new(encoding: Encoding::BINARY)
      all
    end
  end

  # The request body for Rack 2, whose applications may read it again: held whole, in a file when it is large.
  class RewindableInput
    IN_MEMORY = 1_048_576

    def initialize(exchange)
      @input = Input.new(exchange)
      @held = nil
    end

    %i[read gets each rewind size].each do |name|
      define_method(name) { |*arguments, &block| held.public_send(name, *arguments, &block) }
    end

    # A temporary file goes with the request.
    def close
      @held.close! if @held.respond_to?(:close!)
    end

    def inspect
      '#<the body of the request>'
    end

    private

    def held
      @held ||= begin
        start = @input.read(IN_MEMORY) || String.new
        @input.eof? ? StringIO.new(start.b) : spooled(start)
      end
    end

    def spooled(start)
      require 'tempfile'
      file = Tempfile.new('petrel-body', binmode: true)
      file.write(start)
      @input.each_chunk { |chunk| file.write(chunk) }
      file.rewind
      file
    end
  end
end
