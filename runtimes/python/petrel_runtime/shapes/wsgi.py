"""WSGI applications (PEP 3333), in a thread each, bodies streamed both ways."""

import io
import sys
from urllib.parse import unquote_to_bytes

from . import Plan


class Input(io.RawIOBase):
    """`wsgi.input`: the body as a blocking file."""

    def __init__(self, exchange) -> None:
        self._body = exchange.body
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if not self._rest:
            self._rest = self._body.read_sync()
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def environ_of(exchange) -> dict:
    path, _, query = exchange.target.partition("?")
    host = exchange.header("host") or "localhost"
    name, _, port = host.partition(":")
    environ = {
        "REQUEST_METHOD": exchange.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": name,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": (exchange.header("x-forwarded-for") or "").split(",")[0].strip(),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": exchange.header("x-forwarded-proto") or "http",
        "wsgi.input": io.BufferedReader(Input(exchange)),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    for key, value in exchange.headers:
        variable = key.upper().replace("-", "_")
        if variable not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            variable = "HTTP_" + variable
        environ[variable] = f"{environ[variable]},{value}" if variable in environ else value
    return environ


def run(exchange, target) -> None:
    """In a handler thread."""
    head = {}

    def start_response(status, headers, exc_info=None):
        if exc_info and exchange.started:
            raise exc_info[1].with_traceback(exc_info[2])
        if head and not exc_info:
            raise AssertionError("start_response was called twice")
        head["status"] = int(status.split(" ", 1)[0])
        head["headers"] = headers
        return write

    def begin():
        if not head:
            raise AssertionError("the application sent a body before start_response")
        if not exchange.started:
            exchange.call_sync(exchange.start, head["status"], head["headers"])

    def write(data):
        begin()
        exchange.send_sync(data)

    result = target(environ_of(exchange), start_response)
    try:
        if isinstance(result, (list, tuple)) and head and not exchange.started:
            exchange.call_sync(exchange.respond, head["status"], head["headers"], b"".join(result))
            return
        for piece in result:
            if piece:
                write(piece)
        begin()
        exchange.call_sync(exchange.finish)
    finally:
        if hasattr(result, "close"):
            result.close()


def plan(instance, target) -> Plan:
    async def serve(exchange):
        await instance.in_thread(exchange, run, exchange, target)

    return Plan(shape="wsgi", serve=serve)
