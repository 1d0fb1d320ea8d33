"""AWS Lambda's `handler(event, context)` with an API Gateway event of payload version 2.0."""

import base64
import inspect
import json
import time
from datetime import datetime, timezone
from urllib.parse import parse_qsl

from . import Plan

TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml", "application/x-www-form-urlencoded")


class Context:
    """What Lambda hands to a handler beside the event."""

    memory_limit_in_mb = 0
    log_stream_name = ""
    identity = None
    client_context = None

    def __init__(self, instance, request_id: str) -> None:
        settings = instance.settings
        self._deadline = time.monotonic() + float(settings.get("timeoutMs", 300_000)) / 1000
        self.aws_request_id = request_id
        self.function_name = settings.get("function", "")
        self.function_version = settings.get("revision", "")
        self.log_group_name = f"/petrel/{settings.get('namespace', '')}/{self.function_name}"
        self.invoked_function_arn = f"petrel:{settings.get('namespace', '')}:{self.function_name}:{self.function_version}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def event_of(exchange, body: bytes) -> dict:
    path, _, query = exchange.target.partition("?")
    headers: dict = {}
    cookies = []
    for name, value in exchange.headers:
        if name == "cookie":
            cookies.extend(part.strip() for part in value.split(";"))
        else:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    parameters: dict = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    now = datetime.now(timezone.utc)
    content_type = headers.get("content-type", "")
    text = not body or content_type.startswith(TEXT_TYPES) or "+json" in content_type or "+xml" in content_type
    if text:
        try:
            encoded = body.decode()
        except UnicodeDecodeError:
            text = False
    if not text:
        encoded = base64.b64encode(body).decode()
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "petrel",
            "domainName": headers.get("host", ""),
            "domainPrefix": headers.get("host", "").split(".")[0],
            "http": {
                "method": exchange.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": headers.get("x-forwarded-for", "").split(",")[0].strip(),
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": exchange.request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": not text,
    }
    if cookies:
        event["cookies"] = cookies
    if parameters:
        event["queryStringParameters"] = parameters
    if body:
        event["body"] = encoded
    return event


def answer_of(result):
    """Lambda's rule: an object with `statusCode` is an answer, anything else is a JSON body with 200."""
    if not (isinstance(result, dict) and "statusCode" in result):
        body = result.encode() if isinstance(result, str) else json.dumps(result).encode()
        return 200, [("content-type", "application/json")], body
    headers = [(name, value) for name, value in (result.get("headers") or {}).items()]
    for name, values in (result.get("multiValueHeaders") or {}).items():
        headers += [(name, value) for value in values]
    headers += [("set-cookie", cookie) for cookie in result.get("cookies") or []]
    if not any(str(name).lower() == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    body = result.get("body", "")
    if result.get("isBase64Encoded"):
        body = base64.b64decode(body)
    elif isinstance(body, str):
        body = body.encode()
    elif body is None:
        body = b""
    elif not isinstance(body, (bytes, bytearray)):
        body = json.dumps(body).encode()
    return int(result["statusCode"]), headers, bytes(body)


def plan(instance, target) -> Plan:
    asynchronous = inspect.iscoroutinefunction(target)

    async def serve(exchange):
        event = event_of(exchange, await exchange.body.read_all())
        context = Context(instance, exchange.request_id)
        if asynchronous:
            result = await target(event, context)
        else:
            result = await instance.in_thread(exchange, target, event, context)
        exchange.respond(*answer_of(result))

    return Plan(shape="lambda", serve=serve)
