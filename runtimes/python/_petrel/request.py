"""The request object of the simple shapes. Its names are Flask's where Flask has one."""

import io
import json
from contextvars import ContextVar
from urllib.parse import parse_qs, unquote

current = ContextVar("petrel-request")


class Headers:
    """Case-insensitive view of the headers; several of one name are joined with a comma by `[]` and `get`."""

    def __init__(self, pairs):
        self._pairs = pairs

    def getlist(self, name):
        name = name.lower()
        return [value for key, value in self._pairs if key == name]

    def get(self, name, default=None):
        found = self.getlist(name)
        return (", " if name.lower() != "cookie" else "; ").join(found) if found else default

    def __getitem__(self, name):
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name):
        return self.get(name) is not None

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return len(self._pairs)

    def keys(self):
        return list(dict.fromkeys(key for key, _ in self._pairs))

    def items(self):
        return list(self._pairs)

    def values(self):
        return [value for _, value in self._pairs]

    def __repr__(self):
        return f"Headers({self._pairs!r})"


class Args(dict):
    """Query or form parameters: the first value of each name; all of them with `getlist`."""

    def __init__(self, text):
        self._lists = parse_qs(text, keep_blank_values=True)
        super().__init__({name: values[0] for name, values in self._lists.items()})

    def get(self, name, default=None, type=None):  # noqa: A002: Flask's name
        value = super().get(name)
        if value is None:
            return default
        if type is None:
            return value
        try:
            return type(value)
        except (TypeError, ValueError):
            return default

    def getlist(self, name):
        return list(self._lists.get(name, []))


class BodyStream(io.RawIOBase):
    """The request body as a file: bytes as they come, nothing held that is not asked for."""

    def __init__(self, exchange):
        super().__init__()
        self._exchange = exchange
        self._rest = b""

    def readable(self):
        return True

    def readinto(self, target):
        chunk = self._rest or self._exchange.read_chunk()
        size = min(len(chunk), len(target))
        target[:size] = chunk[:size]
        self._rest = chunk[size:]
        return size


class Request:
    def __init__(self, exchange):
        self._exchange = exchange
        self._data = None
        self._stream = None
        self.method = exchange.method
        path, _, query = exchange.target.partition("?")
        self.path = unquote(path)
        self.query_string = query.encode("latin-1")
        self.headers = Headers(exchange.headers)
        self.scheme = exchange.scheme
        self.host = exchange.header("host") or "localhost"
        self.request_id = exchange.request_id

    @property
    def url(self):
        return f"{self.scheme}://{self.host}{self._exchange.target}"

    @property
    def base_url(self):
        return self.url.partition("?")[0]

    @property
    def full_path(self):
        return f"{self.path}?{self.query_string.decode('latin-1')}"

    @property
    def args(self):
        return Args(self.query_string.decode("latin-1"))

    query = args

    @property
    def remote_addr(self):
        return (self.headers.get("x-forwarded-for") or "").split(",")[-1].strip() or None

    @property
    def cookies(self):
        from http.cookies import SimpleCookie

        return {name: morsel.value for name, morsel in SimpleCookie(self.headers.get("cookie", "")).items()}

    @property
    def content_type(self):
        return self.headers.get("content-type")

    @property
    def mimetype(self):
        return (self.content_type or "").split(";")[0].strip().lower()

    @property
    def content_length(self):
        value = self.headers.get("content-length")
        return int(value) if value is not None else None

    @property
    def is_json(self):
        return self.mimetype == "application/json" or self.mimetype.endswith("+json")

    # ---- body ----

    @property
    def stream(self):
        """The body as a file to read from; for sync handlers."""
        if self._stream is None:
            source = io.BytesIO(self._data) if self._data is not None else BodyStream(self._exchange)
            self._stream = io.BufferedReader(source, 65536)
        return self._stream

    def get_data(self, as_text=False):
        if self._data is None:
            self._data = self.stream.read()
            self._stream = None
        return self._data.decode() if as_text else self._data

    @property
    def data(self):
        return self.get_data()

    body = data

    @property
    def text(self):
        return self.get_data(as_text=True)

    def get_json(self, force=False, silent=False):
        if not force and not self.is_json:
            return None
        try:
            return json.loads(self.get_data())
        except ValueError:
            if silent:
                return None
            raise

    @property
    def json(self):
        return self.get_json(force=True) if self.get_data() else None

    @property
    def form(self):
        if self.mimetype != "application/x-www-form-urlencoded":
            return Args("")
        return Args(self.get_data(as_text=True))

    def __iter__(self):
        while True:
            chunk = self._exchange.read_chunk()
            if not chunk:
                return
            yield chunk

    async def __aiter__(self):
        from .asgi import next_chunk

        while True:
            chunk = await next_chunk(self._exchange)
            if not chunk:
                return
            yield chunk

    async def read(self):
        """The whole body, for async handlers."""
        if self._data is None:
            self._data = b"".join([chunk async for chunk in self])
        return self._data

    @property
    def cancelled(self):
        """Whether the client has gone, or the request's time is over."""
        return self._exchange.aborted is not None

    def __repr__(self):
        return f"<Request {self.method} {self.url}>"


class Response:
    """An answer in parts. `body`: str, bytes, an iterable of either, or anything with a JSON form."""

    def __init__(self, body=b"", status=200, headers=None, content_type=None, mimetype=None):
        self.body = b"" if body is None else body
        self.status_code = status
        self.headers = headers if isinstance(headers, list) else dict(headers or {})
        kind = content_type or mimetype
        if kind is not None:
            if isinstance(self.headers, list):
                self.headers.append(("content-type", kind))
            else:
                self.headers["content-type"] = kind


class CurrentRequest:
    """Stands for the request the calling handler works on."""

    def __getattr__(self, name):
        try:
            request = current.get()
        except LookupError:
            raise RuntimeError("there is no request here: `request` is only meaningful inside a handler") from None
        return getattr(request, name)
