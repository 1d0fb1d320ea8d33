"""Values that handlers return, turned into responses; and the 500 of a handler that failed."""

import json
import sys

from .errors import SETTINGS, stack_of
from .exchange import Aborted, header_block

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
BYTES_TYPE = "application/octet-stream"


def fail(exchange, error):
    """The handler raised: 500, or, when the head is out already, a reset."""
    if exchange.finished or isinstance(error, Aborted):
        return
    stack = stack_of(error)
    sys.stderr.write(f"petrel: request {exchange.request_id} failed: {stack}\n")
    message = f"{type(error).__name__}: {error}"
    if exchange.started:
        exchange.reset("handler_error", message if SETTINGS["development"] else "the function failed after its answer had begun")
        return
    body = {"component": "function", "reason": "function_error", "requestId": exchange.request_id}
    if SETTINGS["development"]:
        body.update(message=message, stack=stack)
    exchange.respond(500, header_block([("content-type", JSON_TYPE)]), json.dumps(body).encode())


def refuse_upgrade(exchange):
    """True when the request was an upgrade, which no shape of this runtime but a program can take."""
    if exchange.header("connection") != "upgrade" or exchange.header("upgrade") is None:
        return False
    body = {
        "component": "function",
        "reason": "upgrade_not_supported",
        "requestId": exchange.request_id,
        "message": "This handler has no notion of an upgrade. Run as a program on $PORT.",
    }
    exchange.respond(501, header_block([("content-type", JSON_TYPE)]), json.dumps(body).encode())
    return True


def check_status(status):
    number = int(status)
    if not 200 <= number <= 599:
        raise ValueError(f"The handler returned status {status}; a status is a whole number from 200 to 599")
    return number


def header_pairs(headers):
    """Pairs of a mapping (values may be lists), of a list of pairs, or of None."""
    if not headers:
        return []
    if hasattr(headers, "multi_items"):
        items = headers.multi_items()
    else:
        items = headers.items() if hasattr(headers, "items") else headers
    pairs = []
    for name, value in items:
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if one is not None:
                pairs.append((name, one))
    return pairs


def normalise(value, text_type):
    """(status, header pairs, body, type) of a handler's value; body is bytes, None, or an iterable of chunks."""
    status, headers = None, []
    if isinstance(value, tuple) and 2 <= len(value) <= 3:
        # (body, status), (body, headers), (body, status, headers): Flask's forms.
        body, second = value[0], value[1]
        if isinstance(second, (dict, list)):
            headers = header_pairs(second)
        else:
            status = check_status(second)
        if len(value) == 3:
            headers = header_pairs(value[2])
        inner_status, inner_headers, body, kind = normalise(body, text_type)
        return status or inner_status, inner_headers + headers, body, kind
    if hasattr(value, "status_code") and hasattr(value, "headers"):
        # Response objects: ours, Flask's and Werkzeug's (get_data, iter_encoded), Starlette's (body, body_iterator).
        status = check_status(value.status_code)
        headers = [(n, v) for n, v in header_pairs(value.headers) if str(n).lower() != "content-length"]
        if getattr(value, "is_streamed", False):
            return status, headers, value.iter_encoded(), None
        if hasattr(value, "get_data"):
            return status, headers, value.get_data(), None
        if hasattr(value, "body_iterator"):
            return status, headers, value.body_iterator, None
        inner = normalise(value.body, text_type)
        return status, headers, inner[2], inner[3]
    if value is None:
        return None, headers, None, None
    if isinstance(value, str):
        return None, headers, value.encode(), text_type
    if isinstance(value, (bytes, bytearray, memoryview)):
        return None, headers, bytes(value), BYTES_TYPE
    if hasattr(value, "__next__") or hasattr(value, "__aiter__") or hasattr(value, "read"):
        return None, headers, value, BYTES_TYPE
    return None, headers, json.dumps(value, default=_default).encode(), JSON_TYPE


def _default(value):
    for name in ("model_dump", "isoformat", "dict"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    raise TypeError(f"The handler returned a {type(value).__name__}, which has no JSON form")


def prepare(value, text_type):
    """(status, header block, body) of a handler's value."""
    status, pairs, body, kind = normalise(value, text_type)
    if kind is not None and not any(str(name).lower() == "content-type" for name, _ in pairs):
        pairs.append(("content-type", kind))
    if status is None:
        status = 204 if body is None else 200
    return status, header_block(pairs), b"" if body is None else body


def to_bytes(chunk):
    return chunk.encode() if isinstance(chunk, str) else bytes(chunk)


def respond(exchange, value, text_type=TEXT_TYPE):
    """Answers with a value, from a thread. Chunks of an iterable go out as they come."""
    status, block, body = prepare(value, text_type)
    if isinstance(body, bytes):
        exchange.respond(status, block, body)
        return
    exchange.start(status, block)
    try:
        if hasattr(body, "read") and not hasattr(body, "__next__"):
            while True:
                chunk = body.read(65536)
                if not chunk:
                    break
                exchange.write(to_bytes(chunk))
        else:
            for chunk in body:
                exchange.write(to_bytes(chunk))
        exchange.end()
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
