"""The frames of the instance protocol (runtimes/PROTOCOL.md): numbers, cutting a byte stream, printing."""

import json
import struct

HELLO, REQUEST, REQUEST_BODY, RESPONSE, RESPONSE_BODY, DATA, END, RESET, WINDOW = range(1, 10)
PING, PONG, CALL, RESULT, EVENT, GOAWAY = range(10, 16)

HEADER = struct.Struct("<IBI")
RESPONSE_HEAD = struct.Struct("<HI")
UINT32 = struct.Struct("<I")
MAX_PAYLOAD = 1048576
MAX_DATA = 65536
WINDOW_SIZE = 262144


class ProtocolError(Exception):
    """The peer broke the protocol: its connection is closed."""


def encode(kind, stream, payload=b""):
    return HEADER.pack(len(payload), kind, stream) + payload


def encode_json(kind, stream, value):
    return encode(kind, stream, json.dumps(value).encode())


def cut(held, chunk):
    """The whole frames of what was held back and a new chunk: (frames, rest); a frame is (kind, stream, payload)."""
    data = held + chunk if held else chunk
    frames = []
    at = 0
    total = len(data)
    while total - at >= 9:
        length, kind, stream = HEADER.unpack_from(data, at)
        if length > MAX_PAYLOAD:
            raise ProtocolError(f"frame of {length} bytes, at most {MAX_PAYLOAD} are allowed")
        end = at + 9 + length
        if end > total:
            break
        frames.append((kind, stream, data[at + 9 : end]))
        at = end
    return frames, data[at:]
