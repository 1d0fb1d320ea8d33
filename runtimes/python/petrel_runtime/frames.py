"""The frames of the instance protocol: numbers, limits and an incremental parser. Source: runtimes/PROTOCOL.md."""

import struct

HELLO, REQUEST, REQUEST_BODY, RESPONSE, RESPONSE_BODY, DATA, END, RESET, WINDOW, PING, PONG, CALL, RESULT, EVENT, GOAWAY = range(1, 16)

HEADER = struct.Struct("<IBI")
RESPONSE_HEAD = struct.Struct("<HI")
WINDOW_PAYLOAD = struct.Struct("<I")

MAX_PAYLOAD = 1_048_576
MAX_DATA = 65_536
INITIAL_WINDOW = 262_144


class ProtocolError(Exception):
    """The peer broke the protocol; its connection is closed."""


def frame(kind: int, stream: int, payload: bytes = b"") -> bytes:
    return HEADER.pack(len(payload), kind, stream) + payload


class FrameParser:
    """Cuts a byte stream into frames, however it is cut on arrival."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes):
        """Yields (type, stream, payload) for each frame that is complete."""
        buffer = self._buffer
        buffer += chunk
        offset = 0
        size = len(buffer)
        try:
            while size - offset >= 9:
                length, kind, stream = HEADER.unpack_from(buffer, offset)
                if length > MAX_PAYLOAD:
                    raise ProtocolError(f"a frame of {length} bytes is over the limit of {MAX_PAYLOAD}")
                end = offset + 9 + length
                if end > size:
                    break
                payload = bytes(buffer[offset + 9 : end])
                offset = end
                yield kind, stream, payload
        finally:
            del buffer[:offset]
