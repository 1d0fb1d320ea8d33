"""The kinds of handler that are recognised, each turned into one `async serve(exchange)`."""

import json
from dataclasses import dataclass
from typing import Any, Callable, Optional


@dataclass
class Plan:
    """What loading has found."""

    shape: str
    serve: Optional[Callable[[Any], Any]] = None
    program: bool = False
    entry: str = ""
    """Runs on the loop before the first request, for example ASGI's lifespan."""
    startup: Optional[Callable[[Any], Any]] = None


def answer_error(exchange, message: str, detail: Optional[str], development: Any) -> None:
    """One clear 500; the message and the traceback only in development."""
    body = {"component": "function", "reason": "function_error", "requestId": exchange.request_id}
    body["message"] = message if development else "the function failed; its log has the reason"
    if development and detail:
        body["detail"] = detail
    data = (json.dumps(body) + "\n").encode()
    exchange.respond(500, [("content-type", "application/json")], data)
