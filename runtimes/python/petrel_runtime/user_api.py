"""What user code may import: `from petrel import request, Response`. Installed as the module `petrel`."""

import json
import sys
import types
from contextvars import ContextVar
from urllib.parse import parse_qs

current_request: ContextVar = ContextVar("petrel_request")


class Headers:
    """Header fields by case-insensitive name; `get` joins repeated ones with a comma, `get_all` lists them."""

    def __init__(self, pairs) -> None:
        self._pairs = pairs

    def get(self, name: str, default=None):
        values = self.get_all(name)
        return ",".join(values) if values else default

    def get_all(self, name: str) -> list:
        key = name.lower()
        return [value for other, value in self._pairs if other == key]

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name) -> bool:
        return self.get(name) is not None

    def __iter__(self):
        return iter(dict.fromkeys(name for name, _ in self._pairs))

    def items(self):
        return list(self._pairs)

    def keys(self):
        return list(self)

    def __len__(self) -> int:
        return len(self.keys())


class Request:
    """One request. In a plain handler `data`, `text`, `json` and `stream` block; in an async one `await read()`."""

    def __init__(self, exchange) -> None:
        self._exchange = exchange
        self._data = None
        self.method = exchange.method
        self.url = exchange.target
        self.path, _, self.query_string = exchange.target.partition("?")
        self.headers = Headers(exchange.headers)
        self.request_id = exchange.request_id

    @property
    def args(self) -> dict:
        """Query parameters, the first value of each."""
        return {name: values[0] for name, values in self.query.items()}

    @property
    def query(self) -> dict:
        return parse_qs(self.query_string, keep_blank_values=True)

    @property
    def data(self) -> bytes:
        if self._data is None:
            parts = []
            while True:
                part = self._exchange.body.read_sync()
                if not part:
                    break
                parts.append(part)
            self._data = b"".join(parts)
        return self._data

    body = data

    def get_data(self, as_text: bool = False):
        return self.text if as_text else self.data

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.data) if self.data else None

    def get_json(self, force: bool = False, silent: bool = False):
        try:
            return self.json
        except ValueError:
            if silent:
                return None
            raise

    @property
    def form(self) -> dict:
        return {name: values[0] for name, values in parse_qs(self.text, keep_blank_values=True).items()}

    @property
    def stream(self):
        """The body in pieces as they arrive."""
        while True:
            part = self._exchange.body.read_sync()
            if not part:
                return
            yield part

    async def read(self) -> bytes:
        if self._data is None:
            self._data = await self._exchange.body.read_all()
        return self._data

    async def __aiter__(self):
        while True:
            part = await self._exchange.body.read()
            if not part:
                return
            yield part


class Response:
    """An answer. `body`: str, bytes, something for JSON, or an iterable of str or bytes that is streamed."""

    def __init__(self, body=b"", status: int = 200, headers=None, content_type=None, mimetype=None) -> None:
        self.body = body
        self.status = int(status)
        self.headers = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        if content_type or mimetype:
            self.headers.append(("content-type", content_type or mimetype))


class Answer:
    __slots__ = ("status", "headers", "body", "stream")

    def __init__(self, status, headers, body, stream=None) -> None:
        self.status, self.headers, self.body, self.stream = status, headers, body, stream


def _typed(headers: list, content_type: str) -> list:
    if not any(str(name).lower() == "content-type" for name, _ in headers):
        headers.append(("content-type", content_type))
    return headers


def normalise(result) -> Answer:
    """Flask's and Fission's rules for what a handler may return."""
    if isinstance(result, tuple):
        body, status, headers = (list(result) + [None, None])[:3]
        if isinstance(status, (dict, list)):
            status, headers = None, status
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        result = Response(body, status or 200, pairs)
    elif isinstance(result, dict) and "status" in result and "body" in result and set(result) <= {"status", "body", "headers"}:
        result = Response(result["body"], result["status"], result.get("headers") or {})
    elif not isinstance(result, Response):
        result = _foreign(result)
    headers = list(result.headers)
    body = result.body
    if body is None:
        return Answer(result.status, headers, b"")
    if isinstance(body, str):
        return Answer(result.status, _typed(headers, "text/plain; charset=utf-8"), body.encode())
    if isinstance(body, (bytes, bytearray, memoryview)):
        return Answer(result.status, _typed(headers, "application/octet-stream"), bytes(body))
    if isinstance(body, (dict, list, int, float, bool)):
        return Answer(result.status, _typed(headers, "application/json"), json.dumps(body).encode())
    if hasattr(body, "__iter__") or hasattr(body, "__aiter__"):
        return Answer(result.status, _typed(headers, "application/octet-stream"), b"", body)
    raise TypeError(f"a handler cannot answer with {type(body).__name__}: return str, bytes, something for JSON, (body, status, headers) or petrel.Response")


def _foreign(result) -> Response:
    """A Flask/Werkzeug response, recognised by what it offers; anything else is a body."""
    if hasattr(result, "get_data") and hasattr(result, "status_code"):
        return Response(result.get_data(), result.status_code, list(result.headers.items()))
    return Response(result)


class _CurrentRequest:
    """`petrel.request`: the request this handler call is about."""

    def __getattr__(self, name: str):
        try:
            return getattr(current_request.get(), name)
        except LookupError:
            raise RuntimeError("petrel.request is only there while a handler runs") from None


def install() -> None:
    module = types.ModuleType("petrel", "Petrel's interface for Python functions.")
    module.request = _CurrentRequest()
    module.Request = Request
    module.Response = Response
    module.Headers = Headers
    sys.modules["petrel"] = module


install()
