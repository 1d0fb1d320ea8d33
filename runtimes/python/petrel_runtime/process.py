"""The life of the process: listens, is specialised once, serves, drains, exits.

The main thread belongs to user code's loading (signals, `asyncio.run` at import and the like work there); the event loop
with all sockets runs in a second thread, and plain handlers in a pool of further threads.
"""

import asyncio
import os
import queue
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from . import loader, program, warmup
from .connection import CallError, Connection
from .exchange import Cancelled
from .shapes import answer_error

VERSION = 1
HANDLER_THREADS = 64
CONTROL_GRACE_SECONDS = float(os.environ.pop("PETREL_CONTROL_GRACE_MS", "10000")) / 1000


class Instance:
    def __init__(self, path: str) -> None:
        self.path = path
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._loop_exception)
        self.connections: set = set()
        self.state = "generic"
        self.in_flight = 0
        self.handler = None
        self.settings: dict = {}
        self.child = None
        self.main_jobs: queue.SimpleQueue = queue.SimpleQueue()
        self.threads = ThreadPoolExecutor(HANDLER_THREADS, thread_name_prefix="handler")
        self.stuck = 0
        self._idle = None
        self._orphan_timer = None
        self._exiting = False

    # Connections.

    def describe(self) -> dict:
        return {
            "version": VERSION, "runtime": "python", "language": "Python " + sys.version.split()[0],
            "pid": os.getpid(), "state": self.state,
        }  # fmt: skip

    def control_found(self) -> None:
        if self._orphan_timer:
            self._orphan_timer.cancel()
            self._orphan_timer = None

    def control_lost(self) -> None:
        if not any(c.role == "control" for c in self.connections) and not self._orphan_timer:
            self._orphan_timer = self.loop.call_later(CONTROL_GRACE_SECONDS, self.exit, 0)

    def log(self, message: str) -> None:
        print(f"petrel: {message}", file=sys.stderr, flush=True)

    def _loop_exception(self, loop, context) -> None:
        error = context.get("exception")
        if isinstance(error, (Cancelled, ConnectionError)):
            return
        loop.default_exception_handler(context)

    # Control calls.

    async def call(self, method: str, params: dict) -> dict:
        if method == "specialise":
            return await self.specialise(params)
        if method == "health":
            return {"state": self.state, "inFlight": self.in_flight}
        if method == "drain":
            return {"left": await self.drain(float(params.get("graceMs", 30_000)) / 1000)}
        if method == "shutdown":
            self.loop.call_soon(self.exit, 0)
            return {}
        raise CallError("BadRequest", f"there is no method {method!r}; methods: specialise, health, drain, shutdown")

    def answered(self, method, answer) -> None:
        """An instance whose code cannot be loaded is used up."""
        if method == "specialise" and self.state == "failed" and "error" in answer:
            self.loop.call_later(0.05, self.exit, 1)

    async def specialise(self, params: dict) -> dict:
        if self.state != "generic":
            raise CallError("AlreadySpecialised", f"this instance is {self.state}; an instance is specialised once")
        if not isinstance(params.get("code"), str) or not os.path.isdir(params["code"]):
            raise CallError("BadRequest", f"code: {params.get('code')!r} is not a directory")
        self.state = "specialised"
        self.settings = params
        started = time.perf_counter()
        job = self.loop.create_future()
        self.main_jobs.put(lambda: self._load(params, job))
        try:
            plan = await job
            if plan.program:
                self.child = await program.start(self, params, plan.entry)
                transport = {"kind": "http1", "host": "127.0.0.1", "port": self.child.port}
            else:
                self.handler = plan.serve
                if plan.startup:
                    await plan.startup(self)
                transport = {"kind": "mux"}
        except CallError:
            self.state = "failed"
            raise
        except BaseException as error:
            self.state = "failed"
            raise loader.load_error(error, params["code"]) from None
        elapsed = (time.perf_counter() - started) * 1000
        return {"shape": plan.shape, "loadMs": round(elapsed, 2), "transport": transport}

    def _load(self, params: dict, job) -> None:
        """In the main thread."""
        try:
            plan = loader.load(self, params)
            self.loop.call_soon_threadsafe(lambda: job.done() or job.set_result(plan))
        except BaseException as error:  # SystemExit at import is a load error too
            failure = error if isinstance(error, CallError) else loader.load_error(error, params["code"])
            self.loop.call_soon_threadsafe(lambda: job.done() or job.set_exception(failure))

    # Requests.

    def serve(self, exchange) -> None:
        if self.handler is None:
            exchange.reset("overloaded", "the instance has not been specialised")
            return
        self.in_flight += 1
        self.loop.create_task(self._serve(exchange))

    async def _serve(self, exchange) -> None:
        try:
            await self.handler(exchange)
            if not exchange.finished and not exchange.cancelled and not exchange.started:
                answer_error(exchange, "the handler ended without an answer", None, self.settings.get("development"))
        except Cancelled:
            pass
        except SystemExit as error:
            self.crash("exit", f"the handler called sys.exit({error.code!r})", "")
        except BaseException as error:
            detail = loader.format_error(error, self.settings.get("code", ""))
            print(detail, file=sys.stderr, flush=True)
            if exchange.started:
                exchange.reset("handler_error", f"{type(error).__name__}: {error}")
            elif not exchange.cancelled:
                answer_error(exchange, f"{type(error).__name__}: {error}", detail, self.settings.get("development"))
        finally:
            self.in_flight -= 1
            self.stream_ended()

    async def in_thread(self, exchange, function, *arguments):
        """Runs a plain handler; one that does not return after its request was ended is counted as stuck."""
        future = self.loop.run_in_executor(self.threads, function, *arguments)
        stuck = False

        def cancelled(_reason) -> None:
            nonlocal stuck
            if not future.done():
                stuck = True
                self.stuck += 1
                if self.stuck >= HANDLER_THREADS // 2:
                    self.crash("hung", f"{self.stuck} handlers did not return after their requests had ended", "")

        exchange.on_cancel = cancelled
        try:
            return await future
        finally:
            if stuck:
                self.stuck -= 1

    # Ends.

    def stream_ended(self) -> None:
        if self._idle and self.in_flight == 0 and not self._idle.done():
            self._idle.set_result(None)

    async def drain(self, grace: float) -> int:
        for connection in list(self.connections):
            if connection.role == "data":
                connection.goaway()
        if self.in_flight > 0:
            self._idle = self.loop.create_future()
            try:
                await asyncio.wait_for(self._idle, grace)
            except asyncio.TimeoutError:
                pass
        return self.in_flight

    def crash(self, reason: str, message: str, detail: str) -> None:
        """User code has broken the process: requests in flight end, the platform is told, the process exits."""
        self.log(message)
        for connection in list(self.connections):
            for exchange in list(connection.streams.values()):
                exchange.reset("crashed", message)
            if connection.role == "control":
                connection.event({"event": "failed", "reason": reason, "message": message, "detail": detail})
            connection.flush()
        self.loop.call_later(0.02, self.exit, 1)

    def child_exited(self, code: int) -> None:
        if not self._exiting:
            self.crash("exit", f"the program exited with code {code}", self.child.tail() if self.child else "")

    def exit(self, code: int) -> None:
        if self._exiting:
            return
        self._exiting = True
        for connection in list(self.connections):
            connection.flush()
        if self.child:
            self.child.stop()
        try:
            os.unlink(self.path)
        except OSError:
            pass
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    async def terminate(self) -> None:
        if self.child:
            self.child.terminate()
        await self.drain(float(self.settings.get("timeoutMs", 30_000)) / 1000)
        if self.child:
            await self.child.ended()
        self.exit(0)


def run() -> None:
    path = os.environ.pop("PETREL_SOCKET", None)
    if not path:
        sys.exit("petrel: PETREL_SOCKET is not set; this program is started by the platform")
    for name in [name for name in os.environ if name.startswith("PETREL_")]:
        del os.environ[name]
    sys.stdout.reconfigure(line_buffering=True)
    instance = Instance(path)
    warmup.run(instance)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass

    def terminate(*_):
        instance.loop.call_soon_threadsafe(lambda: instance.loop.create_task(instance.terminate()))

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, terminate)

    async def listen():
        await instance.loop.create_unix_server(lambda: Connection(instance), path)

    def loop_thread():
        asyncio.set_event_loop(instance.loop)
        instance.loop.create_task(listen())
        instance.loop.run_forever()

    threading.Thread(target=loop_thread, name="petrel-loop", daemon=True).start()
    while True:
        instance.main_jobs.get()()


