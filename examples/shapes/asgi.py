"""An ASGI application: FastAPI, Starlette and the like look the same from outside."""


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"Hello, {scope['path']}\n".encode()})
