"""One accepted connection of the instance's socket, with a thread that reads it."""

import json
import sys
import threading

from . import frames as f
from . import threads
from .exchange import Aborted, Exchange


class Connection:
    """`host` has hello(), request(exchange), answered(exchange), when_able(act), call(connection, call), opened(connection), closed(connection)."""

    def __init__(self, sock, host):
        self.sock = sock
        self.host = host
        self.role = ""
        self.closed = False
        self.going_away = False
        self.last_stream = 0
        self.exchanges = {}
        self.writing = threading.Lock()
        threads.start("connection", self._read)

    def send(self, data):
        try:
            with self.writing:
                self.sock.sendall(data)
        except OSError:
            pass  # the reader notices the end and tells everyone

    def forget(self, exchange):
        self.exchanges.pop(exchange.id, None)

    def goaway(self):
        # The mark first: what the peer sends after it has seen GOAWAY must find it.
        announced, self.going_away = self.going_away, True
        if self.role == "data" and not announced:
            self.send(f.encode(f.GOAWAY, 0))

    def close(self):
        try:
            self.sock.shutdown(2)
        except OSError:
            pass

    def _read(self):
        held = b""
        try:
            while True:
                chunk = self.sock.recv(262144)
                if not chunk:
                    break
                ready, held = f.cut(held, chunk)
                for frame in ready:
                    self._frame(*frame)
        except f.ProtocolError as error:
            sys.stderr.write(f"petrel: protocol error from the platform: {error}; connection closed\n")
        except OSError:
            pass
        self.closed = True
        self.sock.close()
        gone = Aborted("cancelled", "the connection to the gateway has closed")
        for exchange in list(self.exchanges.values()):
            exchange.over(gone)
        self.host.closed(self)

    def _json(self, payload):
        try:
            value = json.loads(payload)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise f.ProtocolError("a payload that is not a JSON object")
        return value

    def _hello(self, kind, payload):
        if kind != f.HELLO:
            raise f.ProtocolError("the first frame is not HELLO")
        hello = self._json(payload)
        if hello.get("version") != 1:
            raise f.ProtocolError(f"version {hello.get('version')}, this instance speaks 1")
        if hello.get("role") not in ("data", "control"):
            raise f.ProtocolError(f"no such role: {hello.get('role')}")
        self.role = hello["role"]
        self.send(f.encode_json(f.HELLO, 0, self.host.hello()))
        self.host.opened(self)

    def _frame(self, kind, stream, payload):
        if not self.role:
            self._hello(kind, payload)
            return
        data = self.role == "data"
        if kind in (f.REQUEST, f.REQUEST_BODY):
            if not data or stream <= self.last_stream:
                raise f.ProtocolError(f"unexpected REQUEST, stream {stream}")
            self.last_stream = stream
            if payload.find(b" ") < 1:
                raise f.ProtocolError("a request head without method and target")
            exchange = Exchange(self, stream, payload, kind == f.REQUEST_BODY)
            self.exchanges[stream] = exchange
            if self.going_away:
                self.host.counted()
                exchange.reset("draining", "this instance is draining")
            else:
                self.host.request(exchange)
        elif kind in (f.DATA, f.END, f.RESET, f.WINDOW):
            exchange = self.exchanges.get(stream)
            if exchange is None:
                # For a stream that is over a frame is late, not wrong; for one that never began it is wrong.
                if not data or stream == 0 or stream > self.last_stream:
                    raise f.ProtocolError(f"frame {kind} for stream {stream}, which never began")
            elif kind == f.DATA:
                if len(payload) > f.MAX_DATA:
                    raise f.ProtocolError(f"DATA of {len(payload)} bytes, at most {f.MAX_DATA} are allowed")
                exchange.receive(payload)
            elif kind == f.END:
                exchange.receive_end()
            elif kind == f.RESET:
                reason = self._json(payload)
                code = str(reason.get("code", "cancelled"))
                exchange.over(Aborted(code, str(reason.get("message", code))))
            else:
                if len(payload) != 4:
                    raise f.ProtocolError("a WINDOW that is not 4 bytes")
                exchange.granted(f.UINT32.unpack(payload)[0])
        elif kind == f.PING:
            if len(payload) != 8:
                raise f.ProtocolError("a PING that is not 8 bytes")
            self.host.when_able(lambda: self.send(f.encode(f.PONG, 0, payload)))
        elif kind == f.CALL:
            if data:
                raise f.ProtocolError("CALL on a data connection")
            call = self._json(payload)
            if not isinstance(call.get("id"), int) or not isinstance(call.get("method"), str):
                raise f.ProtocolError("a CALL without id or method")
            self.host.call(self, call)
        elif kind != f.PONG and kind <= f.GOAWAY:
            raise f.ProtocolError(f"frame type {kind} is not for an instance")
