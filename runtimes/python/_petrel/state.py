"""State that outlives instances: a thin client of the interface at PETREL_STATE_URL. `from petrel import state`.

It waits for its answers: in an asynchronous handler, `await asyncio.to_thread(state.get, "key")`.
"""

import http.client
import json
import os
import threading
from urllib.parse import quote, urlencode, urlsplit


class StateError(Exception):
    """What the platform answered instead of doing what it was asked: `status`, and `reason`, such as precondition_failed."""

    def __init__(self, status, body=b""):
        try:
            told = json.loads(body)
        except ValueError:
            told = {}
        super().__init__(told.get("message") or f"the state interface answered {status}")
        self.status = status
        self.reason = told.get("reason", "unknown")


_local = threading.local()


def _send(method, path, query=None, headers=None, body=None):
    """The response, not read yet. A connection that the platform closed meanwhile is made again, once."""
    url = os.environ.get("PETREL_STATE_URL")
    if url is None:
        raise RuntimeError("this function has no state: give it spec.state")
    base = urlsplit(url)
    given = {key: value for key, value in (query or {}).items() if value is not None}
    target = base.path + path + ("?" + urlencode(given) if given else "")
    sent = {"authorization": "Bearer " + os.environ.get("PETREL_STATE_TOKEN", ""), **(headers or {})}
    repeatable = body is None or isinstance(body, bytes)
    while True:
        connection = getattr(_local, "connection", None)
        fresh = connection is None
        if fresh:
            connection = _local.connection = http.client.HTTPConnection(base.hostname, base.port, timeout=60)
        try:
            connection.request(method, target, body=body, headers=sent, encode_chunked=not repeatable)
            return connection.getresponse()
        except (http.client.HTTPException, OSError):
            connection.close()
            _local.connection = None
            if fresh or not repeatable:
                raise


def _ask(method, path, missing=False, **options):
    response = _send(method, path, **options)
    body = response.read()
    if response.status == 404 and missing:
        return None
    if response.status >= 300:
        raise StateError(response.status, body)
    return response, body


def _path(kind, key):
    if not isinstance(key, str) or key == "":
        raise TypeError("a key is a string that is not empty")
    return f"/{kind}/{quote(key, safe='')}"


def _conditions(if_version, if_absent):
    headers = {}
    if if_version is not None:
        headers["if-match"] = f'"{if_version}"'
    if if_absent:
        headers["if-none-match"] = "*"
    return headers


def _version(response):
    return (response.getheader("etag") or "").strip('"')


def _encode(value):
    if isinstance(value, str):
        return value.encode(), "text/plain; charset=utf-8"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), "application/octet-stream"
    return json.dumps(value).encode(), "application/json"


def _decode(body, kind):
    if kind.startswith("application/json"):
        return json.loads(body)
    return body.decode() if kind.startswith("text/") else body


class _Blobs:
    """Large values."""

    def put(self, key, content, type="application/octet-stream", ttl=None, if_version=None, if_absent=False):
        """Stores bytes, text, a file or an iterable of bytes; returns the version."""
        body = content.encode() if isinstance(content, str) else content
        headers = {"content-type": type, **_conditions(if_version, if_absent)}
        if not isinstance(body, bytes):
            headers["transfer-encoding"] = "chunked"
        response, _ = _ask("PUT", _path("blobs", key), query={"ttl": ttl}, headers=headers, body=body)
        return _version(response)

    def open(self, key, start=None, end=None):
        """A response to read from (`read(n)`), or None. `start` and `end` are the first and the last byte. Read it to its end."""
        headers = {} if start is None and end is None else {"range": f"bytes={start or 0}-{'' if end is None else end}"}
        response = _send("GET", _path("blobs", key), headers=headers)
        if response.status < 300:
            return response
        body = response.read()
        if response.status == 404:
            return None
        raise StateError(response.status, body)

    def read(self, key, start=None, end=None):
        """All bytes, or None."""
        response = self.open(key, start, end)
        return None if response is None else response.read()

    def delete(self, key, if_version=None):
        return _ask("DELETE", _path("blobs", key), missing=True, headers=_conditions(if_version, False)) is not None

    def list(self, prefix=None, after=None, limit=None):
        return json.loads(_ask("GET", "/blobs", query={"prefix": prefix, "after": after, "limit": limit})[1])


class _State:
    """Keys and their values: text stays text, bytes stay bytes, everything else is JSON."""

    blobs = _Blobs()

    def entry(self, key):
        """(value, version), or None."""
        found = _ask("GET", _path("kv", key), missing=True)
        if found is None:
            return None
        response, body = found
        return _decode(body, response.getheader("content-type") or ""), _version(response)

    def get(self, key, default=None):
        found = self.entry(key)
        return default if found is None else found[0]

    def set(self, key, value, ttl=None, type=None, if_version=None, if_absent=False):
        """Sets a key and returns its version; raises StateError precondition_failed when the condition does not hold."""
        body, kind = _encode(value)
        headers = {"content-type": type or kind, **_conditions(if_version, if_absent)}
        response, _ = _ask("PUT", _path("kv", key), query={"ttl": ttl}, headers=headers, body=body)
        return _version(response)

    def delete(self, key, if_version=None):
        """Whether there was something to delete."""
        return _ask("DELETE", _path("kv", key), missing=True, headers=_conditions(if_version, False)) is not None

    def increment(self, key, by=1, ttl=None):
        """Adds to a whole number (0 where nothing is) in one step and returns the sum."""
        return int(_ask("POST", _path("kv", key), query={"increment": by, "ttl": ttl}, body=b"")[1])

    def update(self, key, change, ttl=None):
        """Sets what change(value) returns, again when somebody else was faster; None deletes. Returns the new value."""
        while True:
            found = self.entry(key)
            value = change(None if found is None else found[0])
            try:
                if value is not None:
                    condition = {"if_absent": True} if found is None else {"if_version": found[1]}
                    self.set(key, value, ttl=ttl, **condition)
                elif found is not None:
                    self.delete(key, if_version=found[1])
                return value
            except StateError as error:
                if error.reason != "precondition_failed":
                    raise

    def list(self, prefix=None, after=None, limit=None):
        """{"items": [{"key": …}], "after": …}; with `after` of the last page the next one."""
        return json.loads(_ask("GET", "/kv", query={"prefix": prefix, "after": after, "limit": limit})[1])


state = _State()
