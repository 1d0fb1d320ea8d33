"""From an unpacked package to something that answers requests."""

import importlib
import importlib.util
import os
import socket
import sys
import threading
import time

from . import threads
from .errors import ROOT, SpecialiseError
from .recognise import NAMES, find, is_async, listing, parameters_of

STEMS = ("main", "app", "function", "handler", "index", "wsgi", "asgi", "server", "func")
# Where packages carry what they need, relative to their root.
VENDORED = ("site-packages", "vendor", "python_modules", ".python_packages/lib/site-packages")


def open_debugger(port):
    """Lets a debugger in before the function's code is loaded; debugpy is the function's own dependency."""
    try:
        import debugpy
    except ImportError:
        raise SpecialiseError("LoadError", "a debugger was asked for, and debugpy is not installed: add it to requirements.txt") from None
    # The revision before has the port until its requests are over.
    for candidate in range(port, port + 4):
        try:
            debugpy.listen(("127.0.0.1", candidate))
        except (OSError, RuntimeError):
            continue
        print(f"Debugger listening on 127.0.0.1:{candidate}", file=sys.stderr, flush=True)
        return
    raise SpecialiseError("LoadError", f"no debugger can listen on the ports {port} to {port + 3}: they are taken")


def find_entry(root, entry):
    present = sorted(name for name in os.listdir(root) if name != "__pycache__")
    shown = f"the package has: {', '.join(present[:20])}" if present else "the package is empty"
    if entry:
        path = os.path.normpath(os.path.join(root, entry))
        if not path.startswith(root + os.sep):
            raise SpecialiseError("EntryNotFound", f"the entry {entry} is outside the package")
        for candidate in (path, path + ".py", os.path.join(path, "__init__.py"), os.path.join(path, "__main__.py")):
            if os.path.isfile(candidate):
                return candidate
        raise SpecialiseError("EntryNotFound", f"there is no file {entry} in the package; {shown}", file=entry)
    for stem in STEMS:
        candidate = os.path.join(root, stem + ".py")
        if os.path.isfile(candidate):
            return candidate
    files = [name for name in present if name.endswith(".py")]
    if len(files) == 1:
        return os.path.join(root, files[0])
    raise SpecialiseError("EntryNotFound", f"no file to load: there is no {', '.join(s + '.py' for s in STEMS)}; {shown}")


def import_entry(root, entry):
    """Imports the entry under the name it has in its package, so that relative imports and bytecode caches work."""
    name = os.path.relpath(entry, root)[: -len(".py")].replace(os.sep, ".")
    if name.endswith(".__init__"):
        name = name[: -len(".__init__")]
    if all(part.isidentifier() for part in name.split(".")) and name not in sys.modules:
        module = importlib.import_module(name)
        if os.path.realpath(getattr(module, "__file__", "") or "") == os.path.realpath(entry):
            return module
    # A name that is no identifier, or that something else has: loaded by its path.
    spec = importlib.util.spec_from_file_location("petrel_function", entry)
    module = importlib.util.module_from_spec(spec)
    sys.modules["petrel_function"] = module
    spec.loader.exec_module(module)
    return module


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


class PortWatch:
    """Tells when something begins to listen on the port while the code loads: a program that serves where it is loaded."""

    def __init__(self, port, on_open):
        self.stopped = threading.Lock()
        self.stopped.acquire()
        self.port = port
        self.on_open = on_open
        if port:
            threads.start("port", self._watch)

    def stop(self):
        self.stopped.release()

    def _watch(self):
        wait = 0.05
        while not self.stopped.acquire(timeout=wait):
            if accepts(self.port):
                self.on_open()
                return
            wait = min(wait * 1.5, 0.5)


def start_program(root, entry, port, limit_seconds, on_start, on_exit):
    """Runs the entry as a process of its own and returns it once its port accepts. on_start hears of it at once."""
    import subprocess

    if not port:
        raise SpecialiseError("BadRequest", "a program needs a port")
    if accepts(port):
        raise SpecialiseError("LoadError", f"port {port} is taken: another process of this machine listens on it")
    label = os.path.relpath(entry, root)
    environment = {**os.environ, "PORT": str(port), "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([path for path in sys.path if path.startswith(root)])
    # Where util-linux is there, the kernel ends the program with its supervisor, however that ends.
    keeper = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"]
    prefix = keeper if os.access(keeper[0], os.X_OK) else []
    child = subprocess.Popen([*prefix, sys.executable, entry], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    on_start(child)
    tail = bytearray()
    drained = threading.Event()

    def pump():
        while True:
            chunk = os.read(child.stderr.fileno(), 65536)
            if not chunk:
                break
            os.write(2, chunk)
            tail.extend(chunk)
            del tail[:-8192]
        child.wait()
        drained.set()
        if up:
            on_exit(child.returncode, tail.decode("utf-8", "replace"))

    up = False
    threading.Thread(target=pump, daemon=True, name="petrel-stderr").start()
    deadline = time.monotonic() + limit_seconds
    wait = 0.005
    while True:
        if drained.is_set() or child.poll() is not None:
            drained.wait(1)
            message = f"{label} ended with exit code {child.returncode} before it listened on port {port}"
            break
        if accepts(port):
            up = True
            return child
        if time.monotonic() > deadline:
            child.kill()
            message = f"{label} did not listen on port {port} ($PORT) within {limit_seconds:.0f} s"
            break
        time.sleep(wait)
        wait = min(wait * 1.5, 0.1)
    text = tail.decode("utf-8", "replace").replace(root + os.sep, "").strip()
    raise SpecialiseError("LoadError", message, file=label, detail=f"{message}\n{text}".strip())


class Code:
    """Code that has been loaded, and which part of it answers: `found` as `recognise.find` has it, None where it is a program."""

    def __init__(self, root, entry, found):
        self.root = root
        self.entry = entry
        self.found = found


def import_code(params, host):
    """Imports the package of a specialise call; `host` has program_listens(), called when that serves where it is loaded."""
    root = os.path.realpath(params["code"])
    ROOT["path"] = root
    entry = find_entry(root, params.get("entry"))
    port = params.get("port")
    declared = params.get("shape")
    sys.argv = [entry]
    sys.path[:0] = [root] if os.path.dirname(entry) == root else [root, os.path.dirname(entry)]
    sys.path += [os.path.join(root, one) for one in VENDORED if os.path.isdir(os.path.join(root, one))]
    if params.get("debugPort"):
        open_debugger(params["debugPort"])
    if params.get("cache"):
        sys.pycache_prefix = os.path.join(params["cache"], "pycache")
    if declared == "program":
        return Code(root, entry, None)
    watch = PortWatch(port, host.program_listens)
    try:
        module = import_entry(root, entry)
    finally:
        watch.stop()
    found = find(module, params.get("handler"), declared)
    if found is None:
        file = os.path.relpath(entry, root)
        wanted = params.get("handler")
        if port and not wanted and _has_main_guard(entry):
            return Code(root, entry, None)
        raise SpecialiseError(
            "HandlerNotFound",
            f"{file} has no callable named {wanted}; it has: {listing(module)}"
            if wanted
            else f"{file} has no handler; it has: {listing(module)}. Looked for, in this order: {', '.join(NAMES)}, a single function, and a program that listens on $PORT",
            file=file,
        )
    return Code(root, entry, found)


def bind(code, params, name, host):
    """
    Makes loaded code answer requests: begins its event loop, its program. `host` has workers(), loop(), on_exit, on_program_start,
    on_program_exit and load_seconds. Returns (shape, transport, dispatch, stop).
    """
    if code.found is None:
        port = params.get("port")
        child = start_program(code.root, code.entry, port, host.load_seconds, host.on_program_start, host.on_program_exit)

        def stop():
            child.terminate()
            child.wait()

        return "program", {"kind": "http1", "host": "127.0.0.1", "port": port}, None, stop
    _, value, shape = code.found
    from . import shapes

    if shape == "asgi":
        from . import asgi

        state, stop = asgi.lifespan(value, host.loop())
        return shape, {"kind": "mux"}, asgi.asgi_shape(value, host.loop(), state, host.on_exit), stop
    if shape == "wsgi":
        return shape, {"kind": "mux"}, shapes.wsgi_shape(value, host.workers(), host.on_exit), None
    names = parameters_of(value)
    if shape == "fission" and not is_async(value) and hasattr(sys.modules.get("flask"), "Flask"):
        return shape, {"kind": "mux"}, shapes.wsgi_shape(shapes.in_flask(value), host.workers(), host.on_exit), None
    settings = {"name": name, "timeout_ms": params.get("timeoutMs", 300000), "arity": 1 if names is None else min(len(names), 2)}
    if is_async(value):
        from . import asgi

        return shape, {"kind": "mux"}, asgi.async_shape(shape, value, settings, host.loop(), host.on_exit), None
    return shape, {"kind": "mux"}, shapes.sync_shape(shape, value, settings, host.workers(), host.on_exit), None


def _has_main_guard(entry):
    with open(entry, encoding="utf-8", errors="replace") as source:
        text = source.read()
    return "__main__" in text and "__name__" in text
