"""One connection to the instance's socket: HELLO, then either requests (data) or calls (control)."""

import asyncio
import json

from . import frames
from .exchange import Exchange

MAX_STREAMS = 10_000


class Connection(asyncio.Protocol):
    def __init__(self, instance) -> None:
        self.instance = instance
        self.loop = instance.loop
        self.parser = frames.FrameParser()
        self.role = None
        self.streams: dict = {}
        self.transport = None
        self._out: list = []
        self._paused = None
        self.draining = False

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.instance.connections.add(self)

    def connection_lost(self, error) -> None:
        for exchange in list(self.streams.values()):
            exchange.cancel("the connection to the gateway has ended")
        self.streams.clear()
        if self._paused and not self._paused.done():
            self._paused.set_result(None)
        self.instance.connections.discard(self)
        if self.role == "control":
            self.instance.control_lost()

    def pause_writing(self) -> None:
        self._paused = self.loop.create_future()

    def resume_writing(self) -> None:
        if self._paused and not self._paused.done():
            self._paused.set_result(None)
        self._paused = None

    async def writable(self) -> None:
        if self._paused:
            await self._paused

    def write(self, data: bytes) -> None:
        """Collects what one turn of the loop writes into one system call."""
        if not self._out:
            self.loop.call_soon(self.flush)
        self._out.append(data)

    def flush(self) -> None:
        if self._out and self.transport and not self.transport.is_closing():
            self.transport.write(b"".join(self._out))
        self._out.clear()

    def data_received(self, data: bytes) -> None:
        try:
            for kind, stream, payload in self.parser.feed(data):
                self._frame(kind, stream, payload)
        except (frames.ProtocolError, ValueError, UnicodeDecodeError) as error:
            self.instance.log(f"a connection broke the instance protocol and was closed: {error}")
            self.flush()
            self.transport.close()

    def _frame(self, kind: int, stream: int, payload: bytes) -> None:
        if self.role is None:
            self._hello(kind, payload)
        elif kind == frames.PING:
            if len(payload) != 8:
                raise frames.ProtocolError("PING carries 8 bytes")
            self.write(frames.frame(frames.PONG, 0, payload))
        elif kind == frames.PONG or kind > frames.GOAWAY:
            return
        elif self.role == "control":
            if kind != frames.CALL:
                raise frames.ProtocolError(f"frame type {kind} on a control connection")
            self.loop.create_task(self._call(json.loads(payload)))
        elif kind in (frames.REQUEST, frames.REQUEST_BODY):
            self._request(kind, stream, payload)
        elif kind in (frames.DATA, frames.END, frames.RESET, frames.WINDOW):
            self._stream_frame(kind, stream, payload)
        else:
            raise frames.ProtocolError(f"frame type {kind} on a data connection")

    def _hello(self, kind: int, payload: bytes) -> None:
        hello = json.loads(payload) if kind == frames.HELLO else None
        if not isinstance(hello, dict) or hello.get("role") not in ("data", "control"):
            raise frames.ProtocolError("the first frame must be HELLO with a role")
        self.role = hello["role"]
        answer = json.dumps(self.instance.describe()).encode()
        self.write(frames.frame(frames.HELLO, 0, answer))
        if self.role == "control":
            self.instance.control_found()

    def _request(self, kind: int, stream: int, payload: bytes) -> None:
        if stream == 0 or stream in self.streams:
            raise frames.ProtocolError(f"stream {stream} cannot be opened")
        exchange = Exchange(self, stream, payload, kind == frames.REQUEST_BODY)
        self.streams[stream] = exchange
        if self.draining:
            exchange.reset("draining", "the instance is draining")
        elif len(self.streams) > MAX_STREAMS:
            exchange.reset("overloaded", f"more than {MAX_STREAMS} requests on one connection")
        else:
            self.instance.serve(exchange)

    def _stream_frame(self, kind: int, stream: int, payload: bytes) -> None:
        exchange = self.streams.get(stream)
        if exchange is None:
            return  # over already: frames that crossed the end
        if kind == frames.DATA:
            exchange.body.feed(payload)
        elif kind == frames.END:
            exchange.body.finish()
        elif kind == frames.WINDOW:
            exchange.grant(frames.WINDOW_PAYLOAD.unpack(payload)[0] if len(payload) == 4 else _short_window())
        else:
            self.streams.pop(stream, None)
            exchange.cancel(json.loads(payload).get("code", "cancelled"))

    async def _call(self, call: dict) -> None:
        answer = {"id": call.get("id")}
        try:
            answer["result"] = await self.instance.call(call.get("method"), call.get("params") or {})
        except CallError as error:
            answer["error"] = error.fields
        self.write(frames.frame(frames.RESULT, 0, json.dumps(answer).encode()))
        self.flush()
        self.instance.answered(call.get("method"), answer)

    def event(self, fields: dict) -> None:
        self.write(frames.frame(frames.EVENT, 0, json.dumps(fields).encode()))

    def goaway(self) -> None:
        if not self.draining:
            self.draining = True
            self.write(frames.frame(frames.GOAWAY, 0))

    def forget(self, exchange) -> None:
        self.streams.pop(exchange.id, None)
        self.instance.stream_ended()


class CallError(Exception):
    """A control call that failed; `fields` is what the platform is told."""

    def __init__(self, code: str, message: str, **more) -> None:
        super().__init__(message)
        self.fields = {"code": code, "message": message, **{k: v for k, v in more.items() if v is not None}}


def _short_window():
    raise frames.ProtocolError("WINDOW carries 4 bytes")
