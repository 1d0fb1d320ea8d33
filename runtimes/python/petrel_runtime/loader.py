"""Loads user code and recognises what it offers. The rules are in ../README.md; errors are reported verbatim."""

import ast
import importlib.util
import inspect
import linecache
import os
import sys
import traceback

from .connection import CallError
from .shapes import Plan, asgi, lambda_event, request_style, wsgi

DEFAULT_ENTRIES = ("main.py", "app.py", "handler.py", "function.py", "wsgi.py", "asgi.py")
NAMES = ("handler", "main", "lambda_handler", "app", "application")


def find_entry(code: str, entry) -> str:
    if entry:
        path = os.path.normpath(os.path.join(code, entry))
        if path != code and not path.startswith(os.path.join(code, "")):
            raise CallError("EntryNotFound", f"entry {entry!r} points out of the package")
        if os.path.isfile(path):
            return path
        if os.path.isfile(path + ".py"):
            return path + ".py"
        raise CallError("EntryNotFound", f"the package has no file {entry!r}; it has: {_listing(code)}")
    for name in DEFAULT_ENTRIES:
        if os.path.isfile(os.path.join(code, name)):
            return os.path.join(code, name)
    scripts = [name for name in sorted(os.listdir(code)) if name.endswith(".py")]
    if len(scripts) == 1:
        return os.path.join(code, scripts[0])
    raise CallError(
        "EntryNotFound",
        f"no entry was named and none of {', '.join(DEFAULT_ENTRIES)} is there; the package has: {_listing(code)}",
    )


def _listing(code: str) -> str:
    names = sorted(os.listdir(code))
    return ", ".join(names[:20]) + (" …" if len(names) > 20 else "") or "nothing"


def prepare(params: dict) -> None:
    """Environment, working directory and module search path as user code expects them."""
    code = params["code"]
    os.environ.update({str(k): str(v) for k, v in (params.get("env") or {}).items()})
    if params.get("port"):
        os.environ.setdefault("PORT", str(params["port"]))
    os.chdir(params.get("workdir") or code)
    if params.get("cache"):
        sys.pycache_prefix = os.path.join(params["cache"], "pycache")
    else:
        sys.dont_write_bytecode = True
    roots = [code, os.path.join(code, "vendor"), os.path.join(code, ".python_packages/lib/site-packages")]
    library = os.path.join(code, ".venv", "lib")
    if os.path.isdir(library):
        roots += [os.path.join(library, version, "site-packages") for version in sorted(os.listdir(library))]
    for root in reversed([root for root in roots if os.path.isdir(root)]):
        sys.path.insert(0, root)


def is_program(source: str, filename: str) -> bool:
    """Whether a file offers no handler but runs by itself: a `__main__` guard, or module code that reads PORT."""
    tree = ast.parse(source, filename)
    defined = set()
    guarded = False
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, ast.Assign):
            defined.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.If) and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test)):
            guarded = True
    serves = any(isinstance(node, ast.Attribute) and node.attr == "serve_forever" for node in ast.walk(tree))
    if serves:
        return "handler" not in defined
    return guarded and not defined.intersection(NAMES)


def load(instance, params: dict) -> Plan:
    code = os.path.realpath(params["code"])
    params["code"] = code
    entry = find_entry(code, params.get("entry"))
    prepare(params)
    with open(entry, "rb") as file:
        source = file.read()
    if params.get("shape") == "program":
        return Plan(shape="program", program=True, entry=entry)
    text = importlib.util.decode_source(source)
    if params.get("shape") != "handler" and not params.get("handler") and is_program(text, entry):
        return Plan(shape="program", program=True, entry=entry)
    module = import_file(entry)
    return recognise(instance, module, params.get("handler"))


def import_file(entry: str):
    name = os.path.splitext(os.path.basename(entry))[0].replace("-", "_")
    folder = os.path.dirname(entry)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, entry)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def recognise(instance, module, wanted) -> Plan:
    if wanted:
        target = module
        for part in wanted.split("."):
            target = getattr(target, part, None)
            if target is None:
                raise not_found(module, f"there is no attribute {wanted!r}")
        if not callable(target):
            raise not_found(module, f"{wanted!r} is a {type(target).__name__}, not callable")
        return plan_for(instance, wanted.split(".")[-1], target)
    for name in NAMES:
        target = getattr(module, name, None)
        if callable(target) and not inspect.isclass(target):
            return plan_for(instance, name, target)
    raise not_found(module, "no handler was found")


def not_found(module, what: str) -> CallError:
    public = [n for n, v in vars(module).items() if not n.startswith("_") and callable(v) and getattr(v, "__module__", None) == module.__name__]
    found = ", ".join(public) or "none"
    return CallError(
        "HandlerNotFound",
        f"{what}; callables in {os.path.basename(module.__file__)}: {found}; looked for: "
        "handler(request), main(), main(request), handler(event, context), lambda_handler(event, context), "
        "app or application (WSGI or ASGI), or a program that listens on $PORT",
    )


def required_parameters(target) -> list:
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in signature.parameters.values() if p.kind in kinds and p.default is p.empty]


def is_async(target) -> bool:
    call = getattr(target, "__call__", None)
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)


def plan_for(instance, name: str, target) -> Plan:
    names = required_parameters(target)
    if is_async(target) and len(names) == 3:
        return asgi.plan(instance, target)
    if hasattr(target, "wsgi_app") or names == ["environ", "start_response"]:
        return wsgi.plan(instance, target)
    if name in ("app", "application") and len(names) == 2:
        return wsgi.plan(instance, target)
    if len(names) >= 2:
        return lambda_event.plan(instance, target)
    return request_style.plan(instance, target, len(names) == 1)


# Errors.


def _relative(path: str, code: str) -> str:
    return os.path.relpath(path, code) if code and path.startswith(os.path.join(code, "")) else path


def _own_frames(error: BaseException, code: str):
    """The traceback from the first frame of the user's code on; ours say nothing to them."""
    tb = error.__traceback__
    first = tb
    while first is not None:
        if code and first.tb_frame.f_code.co_filename.startswith(os.path.join(code, "")):
            return first
        first = first.tb_next
    return None


def format_error(error: BaseException, code: str) -> str:
    """Python's own text, paths relative to the package."""
    text = "".join(traceback.format_exception(type(error), error, _own_frames(error, code)))
    return text.replace(os.path.join(code, ""), "") if code else text


def load_error(error: BaseException, code: str) -> CallError:
    code = os.path.realpath(code)
    file = line = column = None
    if isinstance(error, SyntaxError) and error.filename:
        file, line, column = error.filename, error.lineno, error.offset
        message = f"{type(error).__name__}: {error.msg}"
    else:
        message = f"{type(error).__name__}: {error}".rstrip(": ")
        tb = _own_frames(error, code)
        while tb is not None:
            if tb.tb_frame.f_code.co_filename.startswith(os.path.join(code, "")):
                file, line = tb.tb_frame.f_code.co_filename, tb.tb_lineno
            tb = tb.tb_next
    linecache.checkcache()
    return CallError(
        "LoadError",
        message,
        file=_relative(file, code) if file else None,
        line=line,
        column=column,
        detail=format_error(error, code),
    )
