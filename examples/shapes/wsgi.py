"""A WSGI application: Flask, Django and the like look the same from outside."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Hello, {environ['PATH_INFO']}\n".encode()]
