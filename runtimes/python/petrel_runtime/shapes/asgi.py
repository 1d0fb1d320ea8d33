"""ASGI 3 applications: http and lifespan. Source: asgi.readthedocs.io, specs/main and specs/www."""

import asyncio
from urllib.parse import unquote

from ..exchange import Cancelled
from . import Plan

LIFESPAN_SECONDS = 60


def scope_of(exchange) -> dict:
    path, _, query = exchange.target.partition("?")
    host, _, port = (exchange.header("host") or "localhost").partition(":")
    client = (exchange.header("x-forwarded-for") or "").split(",")[0].strip()
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": exchange.method,
        "scheme": exchange.header("x-forwarded-proto") or "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in exchange.headers],
        "client": (client, 0) if client else None,
        "server": (host, int(port) if port.isdigit() else 80),
        "state": {},
    }


async def run(target, exchange) -> None:
    ended = asyncio.Event()
    exchange.on_cancel = lambda _reason: ended.set()
    body_done = False
    head = {}

    async def receive():
        nonlocal body_done
        if not body_done:
            try:
                data = await exchange.body.read()
            except Cancelled:
                return {"type": "http.disconnect"}
            body_done = not data
            return {"type": "http.request", "body": data, "more_body": not body_done}
        if not exchange.finished:
            await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            head["status"] = message["status"]
            head["headers"] = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in message.get("headers") or []]
        elif message["type"] == "http.response.body":
            if exchange.cancelled:
                return
            data = message.get("body", b"")
            more = message.get("more_body", False)
            if not exchange.started and not more:
                exchange.respond(head["status"], head["headers"], bytes(data))
            else:
                if not exchange.started:
                    exchange.start(head["status"], head["headers"])
                if data:
                    await exchange.send(data)
                if not more:
                    exchange.finish()
            if not more:
                ended.set()

    await target(scope_of(exchange), receive, send)


async def start_lifespan(target) -> None:
    """Runs the application's start-up; one that does not know lifespan goes on without."""
    started = asyncio.get_running_loop().create_future()
    first = True

    async def receive():
        nonlocal first
        if first:
            first = False
            return {"type": "lifespan.startup"}
        await asyncio.Event().wait()

    async def send(message):
        if started.done():
            return
        if message["type"] == "lifespan.startup.complete":
            started.set_result(None)
        elif message["type"] == "lifespan.startup.failed":
            started.set_exception(RuntimeError(f"the application's start-up failed: {message.get('message', '')}"))

    async def lifespan():
        try:
            await target({"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}, receive, send)
        except BaseException:
            pass  # the specification's way to say that lifespan is not supported
        if not started.done():
            started.set_result(None)

    task = asyncio.ensure_future(lifespan())
    await asyncio.wait_for(asyncio.shield(started), LIFESPAN_SECONDS)
    start_lifespan.task = task  # kept alive for the process's life


def plan(instance, target) -> Plan:
    async def serve(exchange):
        await run(target, exchange)

    async def startup(_instance):
        await start_lifespan(target)

    return Plan(shape="asgi", serve=serve, startup=startup)
