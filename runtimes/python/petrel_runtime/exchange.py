"""One request and its answer on a data connection: body in, body out, both with windows."""

import asyncio
import json
from collections import deque

from . import frames

INLINE_BODY = 262_144


class Cancelled(Exception):
    """The gateway has ended the request: the client went away or time is over."""


def _clean(name: str, value: str) -> bytes:
    if any(c in "\r\n\0" for c in value) or any(c in "\r\n\0: " for c in name):
        raise ValueError(f"header {name!r} contains a character that no header may have")
    try:
        return f"{name.lower()}: {value}\r\n".encode("latin-1")
    except UnicodeEncodeError:
        return name.lower().encode("latin-1") + b": " + value.encode("utf-8") + b"\r\n"


def header_block(headers) -> bytes:
    return b"".join(_clean(str(name), str(value)) for name, value in headers)


class Body:
    """The request's body. Read on the loop; `read_sync` is for handler threads."""

    def __init__(self, exchange, complete: bool) -> None:
        self._exchange = exchange
        self._chunks: deque = deque()
        self.complete = complete
        self._waiter = None
        self._ungranted = 0
        self._received = 0

    def feed(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > frames.INITIAL_WINDOW:
            raise frames.ProtocolError("body bytes past the window")
        self._chunks.append(data)
        self._wake()

    def finish(self) -> None:
        self.complete = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> bytes:
        """The next piece; empty at the end."""
        while not self._chunks:
            if self._exchange.cancelled:
                raise Cancelled("the request was ended by the gateway")
            if self.complete:
                return b""
            self._waiter = self._exchange.loop.create_future()
            await self._waiter
        data = self._chunks.popleft()
        self._ungranted += len(data)
        if not self.complete and self._ungranted >= frames.INITIAL_WINDOW // 2:
            self._received -= self._ungranted
            self._exchange.write(frames.WINDOW, frames.WINDOW_PAYLOAD.pack(self._ungranted))
            self._ungranted = 0
        return data

    async def read_all(self) -> bytes:
        parts = []
        while True:
            part = await self.read()
            if not part:
                return b"".join(parts)
            parts.append(part)

    def read_sync(self) -> bytes:
        if self.complete and not self._chunks:
            return b""
        return asyncio.run_coroutine_threadsafe(self.read(), self._exchange.loop).result()


class Exchange:
    """A stream of a data connection. All methods without `_sync` run on the loop."""

    __slots__ = (
        "connection", "loop", "id", "method", "target", "headers", "body", "cancelled", "started", "finished",
        "window", "_window_waiter", "on_cancel", "request_id",
    )  # fmt: skip

    def __init__(self, connection, stream: int, payload: bytes, has_body: bool) -> None:
        self.connection = connection
        self.loop = connection.loop
        self.id = stream
        lines = payload.decode("latin-1").split("\r\n")
        try:
            self.method, self.target = lines[0].split(" ", 1)
            self.headers = [tuple(line.split(": ", 1)) for line in lines[1:] if line]
        except ValueError:
            raise frames.ProtocolError("a request head that cannot be read") from None
        if any(len(pair) != 2 for pair in self.headers):
            raise frames.ProtocolError("a header line without a colon")
        self.body = Body(self, not has_body)
        self.cancelled = None
        self.started = False
        self.finished = False
        self.window = frames.INITIAL_WINDOW
        self._window_waiter = None
        self.on_cancel = None
        self.request_id = self.header("x-request-id") or ""

    def header(self, name: str):
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def write(self, kind: int, payload: bytes = b"") -> None:
        self.connection.write(frames.frame(kind, self.id, payload))

    def _check(self) -> None:
        if self.cancelled:
            raise Cancelled(self.cancelled)

    def respond(self, status: int, headers, body: bytes) -> None:
        """The whole answer at once; streams on its own when the body is large."""
        self._check()
        block = header_block(headers)
        self.started = True
        if len(body) <= INLINE_BODY:
            self.write(frames.RESPONSE, frames.RESPONSE_HEAD.pack(status, len(block)) + block + body)
            self._end()
        else:
            if not any(str(name).lower() == "content-length" for name, _ in headers):
                block += b"content-length: %d\r\n" % len(body)
            self.write(frames.RESPONSE_BODY, frames.RESPONSE_HEAD.pack(status, len(block)) + block)
            self.loop.create_task(self._send_rest(body))

    async def _send_rest(self, body: bytes) -> None:
        try:
            await self.send(body)
            self.finish()
        except Cancelled:
            pass

    def start(self, status: int, headers) -> None:
        self._check()
        block = header_block(headers)
        self.started = True
        self.write(frames.RESPONSE_BODY, frames.RESPONSE_HEAD.pack(status, len(block)) + block)

    async def send(self, data) -> None:
        """Body bytes; returns when they are handed over, waiting for the receiver's window."""
        view = memoryview(data)
        while view:
            self._check()
            if self.window <= 0:
                self._window_waiter = self.loop.create_future()
                await self._window_waiter
                continue
            await self.connection.writable()
            self._check()
            piece = view[: min(frames.MAX_DATA, self.window)]
            self.window -= len(piece)
            self.write(frames.DATA, bytes(piece))
            view = view[len(piece) :]

    def finish(self, trailers=()) -> None:
        self._check()
        self.write(frames.END, header_block(trailers))
        self._end()

    def reset(self, code: str, message: str) -> None:
        if not self.finished:
            self.write(frames.RESET, json.dumps({"code": code, "message": message}).encode())
            self._end()

    def _end(self) -> None:
        self.finished = True
        self.connection.forget(self)

    def grant(self, amount: int) -> None:
        self.window += amount
        if self._window_waiter and not self._window_waiter.done():
            self._window_waiter.set_result(None)

    def cancel(self, reason: str) -> None:
        self.cancelled = reason
        self.body._wake()
        self.grant(0)
        if self.on_cancel:
            self.on_cancel(reason)

    # From handler threads.

    def send_sync(self, data) -> None:
        asyncio.run_coroutine_threadsafe(self.send(data), self.loop).result()

    def call_sync(self, function, *arguments) -> None:
        """Runs `function(*arguments)` on the loop and waits for it."""

        async def on_loop():
            return function(*arguments)

        asyncio.run_coroutine_threadsafe(on_loop(), self.loop).result()
