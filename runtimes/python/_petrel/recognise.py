"""Which attribute of a module is the handler, and which shape it has. The rules are those of README.md."""

# Attributes looked at, in this order, when none is asked for.
NAMES = ("app", "application", "handler", "handle", "main", "lambda_handler", "new")
CO_COROUTINE = 0x80
CO_ASYNC_GENERATOR = 0x200


def unwrap(value):
    """The function under decorators and partials whose parameters tell what it is."""
    for _ in range(20):
        inner = getattr(value, "__wrapped__", None) or getattr(value, "func", None)
        if inner is None or not callable(inner):
            break
        value = inner
    return value


def code_of(value):
    """(code, bound) of a function, method or object with __call__; (None, False) when it has none."""
    value = unwrap(value)
    bound = hasattr(value, "__self__")
    function = getattr(value, "__func__", value)
    if not hasattr(function, "__code__"):
        call = getattr(type(value), "__call__", None)
        call = unwrap(call) if call is not None else None
        if call is None or not hasattr(call, "__code__"):
            return None, False
        function, bound = call, True
    return function.__code__, bound


def parameters_of(value):
    code, bound = code_of(value)
    if code is None:
        return None
    names = code.co_varnames[: code.co_argcount]
    return list(names[1:] if bound else names)


def is_async(value):
    code, _ = code_of(value)
    return code is not None and bool(code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR))


def shape_of(value, name, declared=None):
    """The shape of a callable: wsgi, asgi, lambda, context, fission (no argument) or request; None when it is not callable."""
    if not callable(value) or isinstance(value, type):
        return None
    if declared in ("wsgi", "asgi", "lambda", "fission", "request"):
        return declared
    if hasattr(value, "wsgi_app"):
        return "wsgi"
    names = parameters_of(value)
    if names is None:
        return "request"
    lowered = [one.lower().lstrip("_") for one in names]
    if len(lowered) >= 3 and lowered[:3] == ["scope", "receive", "send"]:
        return "asgi"
    if len(lowered) == 2 and (lowered[0].startswith("env") or lowered[1].startswith("start")):
        return "wsgi"
    if not lowered:
        return "fission"
    if len(lowered) >= 2 or lowered[0] in ("event", "evt") or name == "lambda_handler":
        # An instance of a framework's class with two arguments is a WSGI app; a function is a Lambda handler.
        return "lambda" if hasattr(unwrap(value), "__code__") or name == "lambda_handler" else "wsgi"
    if lowered[0] in ("context", "ctx"):
        return "context"
    return "request"


def find(module, handler, declared):
    """(name, value, shape) of the handler; None when there is none."""
    if handler:
        path = handler.replace(":", ".").split(".")
        value = _walk(module, path)
        if value is None and len(path) > 1:
            value = _walk(module, path[1:])  # `main.handler`: module and attribute
        shape = shape_of(value, path[-1], declared) if value is not None else None
        return (path[-1], value, shape) if shape else None
    for name in NAMES:
        value = getattr(module, name, None)
        if name == "new" and callable(value) and parameters_of(value) == []:
            value = getattr(value(), "handle", None)  # Knative's python functions: a factory of an object with handle()
        shape = shape_of(value, name, declared) if value is not None else None
        if shape:
            return name, value, shape
    own = [
        (name, value)
        for name, value in vars(module).items()
        if not name.startswith("_") and hasattr(value, "__code__") and value.__module__ == module.__name__
    ]
    if len(own) == 1:
        return own[0][0], own[0][1], shape_of(own[0][1], own[0][0], declared)
    return None


def _walk(value, path):
    for name in path:
        value = getattr(value, name, None)
        if value is None:
            return None
    return value


def listing(module):
    """The public names of a module with what they are, for a message."""
    names = [
        f"{name} ({type(value).__name__})"
        for name, value in vars(module).items()
        if not name.startswith("_") and type(value).__name__ != "module"
    ]
    return ", ".join(names[:30]) if names else "nothing"
