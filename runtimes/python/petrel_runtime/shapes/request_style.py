"""`handler(request)`, `main(request)` and Fission's `main()` with `from petrel import request`."""

import inspect

from ..user_api import Request, current_request, normalise
from . import Plan


def plan(instance, target, takes_request: bool) -> Plan:
    asynchronous = inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(getattr(target, "__call__", None))

    def invoke(request):
        token = current_request.set(request)
        try:
            return target(request) if takes_request else target()
        finally:
            current_request.reset(token)

    def in_thread(exchange, request):
        result = invoke(request)
        if inspect.isgenerator(result) or (hasattr(result, "__next__") and not isinstance(result, (str, bytes))):
            exchange.call_sync(exchange.start, 200, [("content-type", "application/octet-stream")])
            for piece in result:
                exchange.send_sync(piece.encode() if isinstance(piece, str) else piece)
            exchange.call_sync(exchange.finish)
            return None
        answer = normalise(result)
        if answer.stream is None:
            return answer
        exchange.call_sync(exchange.start, answer.status, answer.headers)
        for piece in answer.stream:
            exchange.send_sync(piece.encode() if isinstance(piece, str) else piece)
        exchange.call_sync(exchange.finish)
        return None

    async def serve(exchange):
        request = Request(exchange)
        if not asynchronous:
            answer = await instance.in_thread(exchange, in_thread, exchange, request)
        else:
            token = current_request.set(request)
            try:
                result = await (target(request) if takes_request else target())
                if inspect.isasyncgen(result):
                    exchange.start(200, [("content-type", "application/octet-stream")])
                    async for piece in result:
                        await exchange.send(piece.encode() if isinstance(piece, str) else piece)
                    exchange.finish()
                    return
                answer = normalise(result)
            finally:
                current_request.reset(token)
            if answer.stream is not None:
                exchange.start(answer.status, answer.headers)
                async for piece in _each(answer.stream):
                    await exchange.send(piece.encode() if isinstance(piece, str) else piece)
                exchange.finish()
                return
        if answer is not None:
            exchange.respond(answer.status, answer.headers, answer.body)

    return Plan(shape="fission", serve=serve)


async def _each(stream):
    if hasattr(stream, "__aiter__"):
        async for piece in stream:
            yield piece
    else:
        for piece in stream:
            yield piece
