# frozen_string_literal: true

# The frames of the instance protocol (runtimes/PROTOCOL.md): numbers, cutting a byte stream, printing.
module PetrelRuntime
  module Frames
    HELLO, REQUEST, REQUEST_BODY, RESPONSE, RESPONSE_BODY, DATA, ENDED, RESET, WINDOW = (1..9).to_a
    PING, PONG, CALL, RESULT, EVENT, GOAWAY = (10..15).to_a

    MAX_PAYLOAD = 1_048_576
    MAX_DATA = 65_536
    WINDOW_SIZE = 262_144

    # The peer broke the protocol: its connection is closed.
    class ProtocolError < StandardError; end

    def self.encode(kind, stream, payload = '')
      [payload.bytesize, kind, stream].pack('VCV') << payload.b
    end

    def self.encode_json(kind, stream, value)
      encode(kind, stream, JSON.generate(value))
    end

    # Yields (kind, stream, payload) of every whole frame of `data`; returns the rest.
    def self.cut(data)
      at = 0
      total = data.bytesize
      while total - at >= 9
        length, kind, stream = data.unpack('VCV', offset: at)
        raise ProtocolError, "frame of #{length} bytes, at most #{MAX_PAYLOAD} are allowed" if length > MAX_PAYLOAD

        following = at + 9 + length
        break if following > total

        yield kind, stream, data.byteslice(at + 9, length)
        at = following
      end
      at.zero? ? data : data.byteslice(at, total - at)
    end
  end
end
