"""One request and its response. Fed by the connection's reader thread, used by the thread (or loop) of a handler."""

import threading
from collections import deque

from . import frames as f

INLINE_BODY = 65536
GRANT_STEP = f.WINDOW_SIZE // 4
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class Aborted(ConnectionError):
    """The request has ended early: the client went away, or its time is over. `code` is the reset's code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def header_line(name, value):
    """One line of a response head, as latin1 bytes. Raises ValueError for what would forge another line."""
    name = str(name).lower()
    value = str(value)
    if not name or not TOKEN.issuperset(name):
        raise ValueError(f"invalid header name: {name!r}")
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError(f"invalid header value: {value!r}")
    if name in HOP_BY_HOP:
        return b""
    try:
        return f"{name}: {value}\r\n".encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"a header value must be latin1: {value!r}") from None


def header_block(pairs):
    return b"".join(header_line(name, value) for name, value in pairs)


class Exchange:
    def __init__(self, connection, stream, head, has_body):
        self.connection = connection
        self.id = stream
        self.has_body = has_body
        lines = head.decode("latin-1").split("\r\n")
        self.method, _, self.target = lines[0].partition(" ")
        self.headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                self.headers.append((name, value.strip(" \t")))
        # One condition guards both directions: waits are rare, and only of this request's own thread.
        self.changed = threading.Condition(threading.Lock())
        self.queue = deque()
        self.ended = not has_body
        self.aborted = None
        self.received = 0
        self.allowed = f.WINDOW_SIZE
        self.consumed = 0
        self.send_window = f.WINDOW_SIZE
        self.started = False
        self.finished = False
        self.listeners = []

    def header(self, name):
        for key, value in self.headers:
            if key == name:
                return value
        return None

    @property
    def request_id(self):
        return self.header("x-request-id") or ""

    @property
    def scheme(self):
        return "https" if self.header("x-forwarded-proto") == "https" else "http"

    # ---- called by the reader thread ----

    def receive(self, chunk):
        with self.changed:
            if self.ended:
                raise f.ProtocolError(f"DATA after END on stream {self.id}")
            self.received += len(chunk)
            if self.received > self.allowed:
                raise f.ProtocolError(f"stream {self.id} sent past its window")
            if chunk:
                self.queue.append(chunk)
            self._notify()

    def receive_end(self):
        with self.changed:
            if self.ended:
                raise f.ProtocolError(f"a second END on stream {self.id}")
            self.ended = True
            self._notify()

    def granted(self, count):
        with self.changed:
            self.send_window += count
            self._notify()

    def over(self, error):
        """The exchange has ended early."""
        with self.changed:
            if self.aborted is not None:
                return
            self.aborted = error
            unfinished = not self.finished
            self.finished = True
            self._notify()
        self.connection.forget(self)
        if unfinished:
            self.connection.host.answered(self)

    def _notify(self):
        self.changed.notify_all()
        for listener in self.listeners:
            listener()

    # ---- the request body ----

    def poll(self):
        """What there is of the body now: bytes, b"" at its end, None when more has to come."""
        with self.changed:
            if self.queue:
                chunk = self.queue.popleft()
            elif self.ended:
                return b""
            elif self.aborted is not None:
                raise self.aborted
            else:
                return None
        self._consume(len(chunk))
        return chunk

    def read_chunk(self):
        """The next bytes of the body, b"" at its end. Blocks. Raises Aborted."""
        while True:
            chunk = self.poll()
            if chunk is not None:
                return chunk
            with self.changed:
                while not self.queue and not self.ended and self.aborted is None:
                    self.changed.wait()

    def _consume(self, count):
        grant = 0
        with self.changed:
            self.consumed += count
            if self.consumed >= GRANT_STEP and not self.ended and self.aborted is None:
                grant, self.consumed = self.consumed, 0
                self.allowed += grant
        if grant:
            self.connection.send(f.encode(f.WINDOW, self.id, f.UINT32.pack(grant)))

    # ---- the response ----

    def respond(self, status, block, body):
        """Head and whole body."""
        if self.finished or self.started:
            return
        bodyless = self.method == "HEAD" or status == 304
        if bodyless or len(body) > INLINE_BODY:
            if b"content-length: " not in block and not (status == 304 and not body):
                block += b"content-length: %d\r\n" % len(body)
            self.start(status, block)
            if not bodyless:
                self.write(body)
            self.end()
            return
        self.started = True
        if status == 204:
            body = b""
        self._complete(f.encode(f.RESPONSE, self.id, f.RESPONSE_HEAD.pack(status, len(block)) + block + body))

    def start(self, status, block):
        """The head; the body follows with `write` and `end`."""
        if self.finished or self.started:
            return
        self.started = True
        self.connection.send(f.encode(f.RESPONSE_BODY, self.id, f.RESPONSE_HEAD.pack(status, len(block)) + block))

    def try_write(self, body):
        """Sends what the window allows; returns the rest. Raises Aborted."""
        while body:
            with self.changed:
                if self.aborted is not None:
                    raise self.aborted
                size = min(len(body), self.send_window, f.MAX_DATA)
                if size == 0:
                    return body
                self.send_window -= size
            self.connection.send(f.encode(f.DATA, self.id, bytes(body[:size])))
            body = body[size:]
        return b""

    def write(self, body):
        """Sends all of it, waiting for the window. Raises Aborted."""
        if self.method == "HEAD":
            return
        rest = self.try_write(memoryview(body))
        while rest:
            with self.changed:
                while self.send_window == 0 and self.aborted is None:
                    self.changed.wait()
            rest = self.try_write(rest)

    def end(self):
        if not self.finished:
            self._complete(f.encode(f.END, self.id))

    def reset(self, code, message):
        if not self.finished:
            self.connection.send(f.encode_json(f.RESET, self.id, {"code": code, "message": message}))
            self.over(Aborted(code, message))

    def _complete(self, last):
        with self.changed:
            if self.finished:
                return
            self.finished = True
        self.connection.forget(self)
        self.connection.send(last)
        self.connection.host.answered(self)
        if not self.ended:
            # What is still unread of the body would never come: the gateway stops sending it.
            with self.changed:
                self.aborted = self.aborted or Aborted("complete", "the response is complete")
                self._notify()
