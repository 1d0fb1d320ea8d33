"""Everything async: one event loop on a thread of its own, started when a handler needs it."""

import asyncio
import threading
from urllib.parse import unquote

from . import answer
from .exchange import Aborted, header_block
from .request import Request, current
from .shapes import TEXT_TYPES, arguments, fail, finish_value

LIFESPAN_SECONDS = 30


class Loop:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.tasks = set()
        threading.Thread(target=self._run, daemon=True, name="petrel-loop").start()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def start(self, make, exchange):
        """Runs make(exchange), a coroutine, as a task that is cancelled when the request is."""

        def begin():
            task = self.loop.create_task(make(exchange))
            self.tasks.add(task)  # the loop itself holds tasks only weakly
            task.add_done_callback(self.tasks.discard)

        self.loop.call_soon_threadsafe(begin)

    def wait(self, coroutine, seconds=None):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)


async def changed(exchange, ready):
    """Waits until ready() of an exchange, which changes on another thread."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def listener():
        loop.call_soon_threadsafe(event.set)

    exchange.listeners.append(listener)
    try:
        while not ready():
            await event.wait()
            event.clear()
    finally:
        exchange.listeners.remove(listener)


async def next_chunk(exchange):
    """The next bytes of the request body, b"" at its end. Raises Aborted."""
    while True:
        chunk = exchange.poll()
        if chunk is not None:
            return chunk
        await changed(exchange, lambda: exchange.queue or exchange.ended or exchange.aborted is not None)


async def write(exchange, body):
    if exchange.method == "HEAD":
        return
    rest = exchange.try_write(memoryview(body))
    while rest:
        await changed(exchange, lambda: exchange.send_window > 0 or exchange.aborted is not None)
        rest = exchange.try_write(rest)


async def respond(exchange, value, text_type):
    status, block, body = answer.prepare(value, text_type)
    if isinstance(body, bytes):
        exchange.respond(status, block, body)
        return
    exchange.start(status, block)
    if hasattr(body, "__aiter__"):
        try:
            async for chunk in body:
                await write(exchange, answer.to_bytes(chunk))
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()
    else:
        for chunk in body:
            await write(exchange, answer.to_bytes(chunk))
    exchange.end()


async def guarded(exchange, work, on_exit, failed=answer.fail):
    """Runs the work of a request and cancels it when the client goes away."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def listener():
        if exchange.aborted is not None and exchange.aborted.code != "complete":
            loop.call_soon_threadsafe(task.cancel)

    exchange.listeners.append(listener)
    try:
        await work
    except (Aborted, asyncio.CancelledError):
        pass
    except SystemExit as error:
        on_exit(error)
    except BaseException as error:  # noqa: B036
        failed(exchange, error)


def async_shape(shape, handler, settings, loop, on_exit):
    text_type = TEXT_TYPES.get(shape, answer.TEXT_TYPE)

    async def work(exchange):
        request = Request(exchange)
        current.set(request)
        raw = await request.read() if shape == "lambda" else b""
        value = handler(*arguments(shape, handler, exchange, settings, raw))
        if hasattr(value, "__await__"):
            value = await value
        await respond(exchange, finish_value(shape, value, exchange), text_type)

    def dispatch(exchange):
        if not answer.refuse_upgrade(exchange):
            loop.start(lambda one: guarded(one, work(one), on_exit, lambda at, error: fail(shape, at, error)), exchange)

    return dispatch


def scope_of(exchange, state):
    path, _, query = exchange.target.partition("?")
    host, _, port = (exchange.header("host") or "localhost").partition(":")
    client = (exchange.header("x-forwarded-for") or "127.0.0.1").split(",")[-1].strip()
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": exchange.method,
        "scheme": exchange.scheme,
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in exchange.headers],
        "client": (client, 0),
        "server": (host, int(port) if port.isdigit() else 80),
        "state": dict(state),
    }


def asgi_shape(app, loop, state, on_exit):
    """An ASGI application, HTTP scope."""

    async def work(exchange):
        body_over = False
        head = None

        async def receive():
            nonlocal body_over
            if not body_over:
                try:
                    chunk = await next_chunk(exchange)
                except Aborted:
                    return {"type": "http.disconnect"}
                body_over = not chunk
                return {"type": "http.request", "body": chunk, "more_body": not body_over}
            await changed(exchange, lambda: exchange.aborted is not None or exchange.finished)
            return {"type": "http.disconnect"}

        async def send(message):
            nonlocal head
            if message["type"] == "http.response.start":
                if head is not None:
                    raise RuntimeError("http.response.start was sent twice")
                pairs = [(bytes(n).decode("latin-1"), bytes(v).decode("latin-1")) for n, v in message.get("headers", [])]
                head = (message["status"], header_block(pairs))
            elif message["type"] == "http.response.body":
                if head is None:
                    raise RuntimeError("http.response.body before http.response.start")
                body = bytes(message.get("body", b""))
                more = message.get("more_body", False)
                if not exchange.started and not more:
                    if exchange.method == "HEAD" and not body:
                        exchange.start(*head)
                        exchange.end()
                    else:
                        exchange.respond(*head, body)
                    return
                if not exchange.started:
                    exchange.start(*head)
                if exchange.aborted is None:
                    await write(exchange, body)
                if not more:
                    exchange.end()
            else:
                raise RuntimeError(f"unknown message {message['type']}")

        await app(scope_of(exchange, state), receive, send)
        if not exchange.finished:
            raise RuntimeError("the application returned without completing its response")

    def dispatch(exchange):
        if not answer.refuse_upgrade(exchange):
            loop.start(lambda one: guarded(one, work(one), on_exit), exchange)

    return dispatch


def lifespan(app, loop):
    """Runs the application's start-up; returns (state, shutdown). An application without lifespan raises, which is fine by the standard."""
    state = {}
    incoming = None
    events = {}

    async def run():
        nonlocal incoming
        incoming = asyncio.Queue()
        for name in ("startup", "shutdown"):
            events[name] = asyncio.get_running_loop().create_future()

        async def send(message):
            kind, _, result = message["type"].partition("lifespan.")[2].partition(".")
            if not events[kind].done():
                events[kind].set_result(None if result == "complete" else message.get("message", "failed"))

        async def body():
            try:
                await app({"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}, incoming.get, send)
            except BaseException:  # noqa: B036: "not supported" is said by raising
                pass
            for future in events.values():
                if not future.done():
                    future.set_result(None)

        events["task"] = asyncio.ensure_future(body())
        await incoming.put({"type": "lifespan.startup"})
        return await events["startup"]

    failure = loop.wait(run(), LIFESPAN_SECONDS)
    if failure is not None:
        raise RuntimeError(f"the application's start-up failed: {failure}")

    async def stop():
        await incoming.put({"type": "lifespan.shutdown"})
        await events["shutdown"]

    return state, lambda: loop.wait(stop(), LIFESPAN_SECONDS)
