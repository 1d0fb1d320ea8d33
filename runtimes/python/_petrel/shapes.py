"""From a handler and its shape to something that takes exchanges: the sync shapes, and Lambda's event."""

import base64
import json
import os
import sys
import time

from . import answer
from .errors import stack_of
from .exchange import Aborted
from .request import BodyStream, Request, current


# The gateway says it of an invocation through the Invoke API: the body is the event itself, and the result the answer's body.
RAW_EVENT = "x-petrel-lambda-event"


def lambda_event(exchange, raw):
    """An API Gateway HTTP API event, payload version 2.0."""
    if exchange.header(RAW_EVENT) is not None:
        return json.loads(raw or b"{}")
    from urllib.parse import parse_qsl, unquote

    path, _, query = exchange.target.partition("?")
    headers, cookies = {}, []
    for name, value in exchange.headers:
        if name == "cookie":
            cookies += [part.strip() for part in value.split(";")]
        else:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    parameters = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    kind = headers.get("content-type", "text/plain").split(";")[0].strip().lower()
    textual = kind.startswith("text/") or kind.endswith(("+json", "+xml")) or kind in (
        "application/json", "application/xml", "application/javascript", "application/x-www-form-urlencoded",
    )
    binary = bool(raw) and (not textual or "content-encoding" in headers)
    now = time.time()
    host = headers.get("host", "")
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(path),
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": os.environ.get("K_SERVICE", "petrel"),
            "domainName": host,
            "domainPrefix": host.split(".")[0],
            "http": {
                "method": exchange.method,
                "path": unquote(path),
                "protocol": "HTTP/1.1",
                "sourceIp": headers.get("x-forwarded-for", "").split(",")[-1].strip(),
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": exchange.request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": binary,
    }
    if cookies:
        event["cookies"] = cookies
    if parameters:
        event["queryStringParameters"] = parameters
    if raw:
        event["body"] = base64.b64encode(raw).decode() if binary else raw.decode("utf-8", "replace")
    return event


class ClientContext:
    """What a caller of the Invoke API says of itself, as AWS's client tells it."""

    def __init__(self, said):
        self.client = said.get("client")
        self.custom = said.get("custom")
        self.env = said.get("env")


def client_context(exchange):
    encoded = exchange.header("x-amz-client-context")
    if encoded is None or exchange.header(RAW_EVENT) is None:
        return None
    try:
        said = json.loads(base64.b64decode(encoded))
    except ValueError:
        return None
    return ClientContext(said) if isinstance(said, dict) else None


class LambdaContext:
    def __init__(self, exchange, name, timeout_ms):
        self._deadline = time.monotonic() + timeout_ms / 1000
        self.function_name = name
        self.function_version = os.environ.get("K_REVISION", "$LATEST")
        self.invoked_function_arn = f"arn:aws:lambda:local:000000000000:function:{name}"
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")
        self.aws_request_id = exchange.request_id
        self.log_group_name = name
        self.log_stream_name = self.function_version
        self.identity = None
        self.client_context = client_context(exchange)

    def get_remaining_time_in_millis(self):
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def lambda_value(value):
    """What a Lambda handler returned, as the other shapes return it."""
    if isinstance(value, dict) and "statusCode" in value:
        body = value.get("body")
        if value.get("isBase64Encoded") and isinstance(body, str):
            body = base64.b64decode(body)
        headers = answer.header_pairs(value.get("headers")) + answer.header_pairs(value.get("multiValueHeaders"))
        headers += [("set-cookie", cookie) for cookie in value.get("cookies") or []]
        return ("" if body is None else body), value["statusCode"], headers
    return "null" if value is None else value


def arguments(shape, handler, exchange, settings, raw):
    """The positional arguments of a handler of a simple shape."""
    if shape == "lambda":
        context = LambdaContext(exchange, settings["name"], settings["timeout_ms"])
        return (lambda_event(exchange, raw), context)[: settings["arity"]]
    request = current.get()
    if shape == "context":
        return (Context(request),)
    return () if settings["arity"] == 0 else (request,)


class Context:
    """What Knative's python functions get: the request, and its CloudEvent if it carries one."""

    def __init__(self, request):
        self.request = request

    @property
    def cloud_event(self):
        headers = self.request.headers
        if self.request.mimetype == "application/cloudevents+json":
            return self.request.get_json(force=True)
        if headers.get("ce-specversion") is None:
            return None
        event = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
        if self.request.content_type:
            event["datacontenttype"] = self.request.content_type
        event["data"] = self.request.get_json() if self.request.is_json else self.request.get_data()
        return event


TEXT_TYPES = {"lambda": answer.JSON_TYPE, "fission": answer.HTML_TYPE}


def finish_value(shape, value, exchange):
    if shape != "lambda":
        return value
    if exchange.header(RAW_EVENT) is not None:
        return json.dumps(value).encode(), 200, [("content-type", "application/json")]
    return lambda_value(value)


def fail(shape, exchange, error):
    """The handler raised. The Invoke API tells of it with status 200 and a header."""
    if shape != "lambda" or exchange.header(RAW_EVENT) is None or exchange.finished or exchange.started:
        answer.fail(exchange, error)
        return
    stack = stack_of(error)
    sys.stderr.write(f"petrel: request {exchange.request_id} failed: {stack}\n")
    body = {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": stack.splitlines()}
    head = [("content-type", "application/json"), ("x-amz-function-error", "Unhandled")]
    answer.respond(exchange, (json.dumps(body).encode(), 200, head))


def sync_shape(shape, handler, settings, workers, on_exit):
    """Runs a plain function on the workers."""
    text_type = TEXT_TYPES.get(shape, answer.TEXT_TYPE)

    def work(exchange):
        try:
            request = Request(exchange)
            current.set(request)
            raw = request.get_data() if shape == "lambda" else b""
            value = handler(*arguments(shape, handler, exchange, settings, raw))
            answer.respond(exchange, finish_value(shape, value, exchange), text_type)
        except Aborted:
            pass
        except SystemExit as error:
            on_exit(error)
        except BaseException as error:  # noqa: B036: whatever the handler raises is this request's failure
            fail(shape, exchange, error)

    def dispatch(exchange):
        if not answer.refuse_upgrade(exchange):
            workers.run(work, exchange)

    return dispatch


def in_flask(main):
    """A WSGI application around main() for a package that brings Flask itself: its `request` needs Flask's own context."""
    import flask

    app = flask.Flask("function")

    def application(environ, start_response):
        with app.request_context(environ):
            try:
                value = main()
            except Exception as error:  # abort() raises; anything that is no HTTP answer is raised again
                value = app.handle_user_exception(error)
            response = app.make_response(value)
        return response(environ, start_response)

    return application


def wsgi_shape(app, workers, on_exit):
    """A WSGI application (PEP 3333)."""
    import io
    from urllib.parse import unquote_to_bytes

    def environ_of(exchange):
        path, _, query = exchange.target.partition("?")
        host = exchange.header("host") or "localhost"
        name, _, port = host.partition(":")
        environ = {
            "REQUEST_METHOD": exchange.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": exchange.target,
            "REQUEST_URI": exchange.target,
            "SERVER_NAME": name,
            "SERVER_PORT": port or ("443" if exchange.scheme == "https" else "80"),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": (exchange.header("x-forwarded-for") or "127.0.0.1").split(",")[-1].strip(),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": exchange.scheme,
            "wsgi.input": io.BufferedReader(BodyStream(exchange), 65536),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for key, value in exchange.headers:
            name = key.upper().replace("-", "_")
            if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                name = "HTTP_" + name
            environ[name] = f"{environ[name]},{value}" if name in environ and name != "HTTP_COOKIE" else value
        return environ

    def work(exchange):
        state = {}

        def start_response(status, headers, exc_info=None):
            if exc_info:
                try:
                    if exchange.started:
                        raise exc_info[1].with_traceback(exc_info[2])
                finally:
                    exc_info = None
            elif "status" in state:
                raise AssertionError("start_response was called twice")
            state["status"] = int(status.split(" ", 1)[0])
            state["block"] = answer.header_block(headers)
            return write

        def write(chunk):
            if "status" not in state:
                raise AssertionError("write() before start_response()")
            if not exchange.started:
                exchange.start(state["status"], state["block"])
            exchange.write(chunk)

        result = None
        try:
            result = app(environ_of(exchange), start_response)
            if isinstance(result, (list, tuple)) and not exchange.started:
                if "status" not in state:
                    raise AssertionError("the application returned without calling start_response")
                block = state["block"]
                body = b"".join(result)
                if exchange.method != "HEAD" or body:
                    exchange.respond(state["status"], block, body)
                else:
                    exchange.start(state["status"], block)
                    exchange.end()
            else:
                for chunk in result:
                    if chunk:
                        write(chunk)
                if not exchange.started:
                    exchange.respond(state["status"], state["block"], b"")
                exchange.end()
        except Aborted:
            pass
        except SystemExit as error:
            on_exit(error)
        except BaseException as error:  # noqa: B036
            answer.fail(exchange, error)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def dispatch(exchange):
        if not answer.refuse_upgrade(exchange):
            workers.run(work, exchange)

    return dispatch
