"""
The supervisor of the python runtime: one process, one instance. Speaks runtimes/PROTOCOL.md on the unix socket named by
PETREL_SOCKET, is specialised at most once, and ends when its platform does.

A thread reads each connection; sync handlers run on worker threads, async ones on one event loop that is started when needed;
user code is loaded on the main thread, as Python's libraries expect.
"""

import os
import queue
import signal
import socket
import sys
import threading
import time

OPTIONS = {}


# Longest time that our threads may take to end, s.
REST = 1


def read_options():
    """Takes the settings out of the environment: when life begins, as a forked process gets its variables after this was imported."""
    OPTIONS.update(
        {
            "socket": os.environ.get("PETREL_SOCKET", ""),
            # Life after the last control connection has closed, and without one ever; seconds.
            "control_grace": int(os.environ.get("PETREL_CONTROL_GRACE_MS", "10000")) / 1000,
            "orphan": int(os.environ.get("PETREL_ORPHAN_MS", "60000")) / 1000,
            # Loading: import, ASGI start-up, a program's port.
            "load": int(os.environ.get("PETREL_LOAD_TIMEOUT_MS", "30000")) / 1000,
            # Requests in flight at SIGTERM.
            "term_grace": int(os.environ.get("PETREL_TERM_GRACE_MS", "25000")) / 1000,
        }
    )
    for name in [name for name in os.environ if name.startswith("PETREL_")]:
        del os.environ[name]


# Only what HELLO needs is imported before it; the rest follows while nobody waits, or with `specialise`.
from _petrel import frames as f  # noqa: E402
from _petrel.connection import Connection  # noqa: E402
from _petrel.errors import SETTINGS, SpecialiseError, stack_of  # noqa: E402
from _petrel import threads  # noqa: E402
from _petrel.outcome import Outcome  # noqa: E402

sys.path.pop(0)  # ours; user code has only its own


def warm_up():
    """Imports what the first function would wait for."""
    if "site" not in sys.modules:
        import site

        site.main()  # started with -S: looking for installed packages takes half of Python's own start
    from _petrel import answer, loader, public, request, shapes, workers  # noqa: F401

    public.install()


def nothing():
    """A job that has the main thread look again how long it may wait."""


class Supervisor:
    """
    The state of this instance, and what its connections and its loader ask of it. `channel`: how it hears of those that are to be forked
    from it once it has loaded code; `ahead`: what was loaded before it was forked.
    """

    def __init__(self, channel=None, ahead=None):
        self.state = "generic"
        self.channel = channel
        self.ahead = ahead
        self.resting = False
        self.server = None
        self.signals = None
        self.dispatch = None
        self.stop_function = None
        self.in_flight = 0
        self.lock = threading.Lock()
        self.idle = threading.Condition(self.lock)
        self.connections = set()
        self.controls = 0
        self.lonely = None
        self.draining = False
        self.jobs = queue.SimpleQueue()
        self.leaving = False
        self.load_seconds = OPTIONS["load"]
        self._workers = None
        self._loop = None
        self.concurrency = 0
        self.debugged = False
        self.warmed = False
        self.child = None

    # ---- asked by connections ----

    def hello(self):
        version = "%d.%d.%d" % sys.version_info[:3]
        state = "generic" if self.state == "specialising" else self.state
        preloaded = {"preloaded": self.ahead.params.get("revision")} if self.ahead else {}
        return {"version": 1, "runtime": "python", "language": version, "pid": os.getpid(), "state": state, **preloaded}

    def counted(self):
        with self.lock:
            self.in_flight += 1

    def request(self, exchange):
        self.counted()
        if self.dispatch is None:
            exchange.reset("overloaded", f"this instance is {self.state} and takes no requests here")
        else:
            self.dispatch(exchange)

    def answered(self, _exchange):
        with self.idle:
            self.in_flight -= 1
            if self.in_flight == 0:
                self.idle.notify_all()

    def opened(self, connection):
        with self.lock:
            self.connections.add(connection)
            if connection.role == "control":
                self.controls += 1
                self._company()
                if not self.warmed:
                    self.warmed = True
                    self.jobs.put(warm_up)
        if self.draining:
            connection.goaway()

    def closed(self, connection):
        with self.lock:
            self.connections.discard(connection)
            if connection.role == "control":
                self.controls -= 1
                if self.controls == 0 and not self.resting:
                    self.alone(OPTIONS["control_grace"])

    def alone(self, seconds):
        """Without a platform the instance ends."""
        self._company()
        self.lonely = time.monotonic() + seconds
        self.jobs.put(nothing)

    def _company(self):
        self.lonely = None

    def call(self, connection, call):
        def answer(**value):
            connection.send(f.encode_json(f.RESULT, 0, {"id": call["id"], **value}))

        params = call.get("params") or {}
        method = call["method"]
        if method == "specialise":
            self.load(params, answer, self._specialise)
        elif method == "preload" and self.channel is not None:
            self.load(params, answer, self._preload)
        elif method == "health":
            answer(result={"state": self.hello()["state"], "inFlight": self.in_flight})
        elif method == "drain":
            seconds = float(params.get("graceMs", 30000)) / 1000
            run = threading.Thread(target=lambda: answer(result={"left": self.drain(seconds)}), daemon=True)
            run.start()
        elif method == "shutdown":
            answer(result={})
            self.jobs.put(lambda: self.stop(0))
        else:
            answer(error={"code": "BadRequest", "message": f"no such method: {method}"})

    # ---- specialise ----

    def load(self, params, answer, work):
        try:
            if self.state != "generic":
                raise SpecialiseError("AlreadySpecialised", f"this instance is {self.state} already")
            self._check(params)
        except SpecialiseError as error:
            answer(error=error.to_json())
            return
        self.state = "specialising"
        self.jobs.put(lambda: work(params, Outcome(self, params, answer)))

    def _check(self, params):
        kinds = {"code": str, "entry": str, "handler": str, "shape": str, "cache": str, "workdir": str, "env": dict, "revision": str}
        kinds.update(port=int, timeoutMs=(int, float), concurrency=int, function=str, namespace=str)
        for name, kind in kinds.items():
            value = params.get(name)
            if value is not None and not isinstance(value, kind) or (name == "code" and value is None):
                raise SpecialiseError("BadRequest", f"specialise: {name} has the wrong type")
        if not os.path.isdir(params["code"]):
            raise SpecialiseError("BadRequest", f"specialise: {params['code']} is not a directory")
        if self.ahead is not None and not self.ahead.fits(params):
            raise SpecialiseError("BadRequest", "this instance has been forked for other code")

    def _settle_in(self, params):
        """Makes the process what the code expects around it."""
        for name, value in (params.get("env") or {}).items():
            if self.ahead is None or not self.ahead.has_set(name, value):
                os.environ[name] = str(value)
        if params.get("port") is not None:
            os.environ.setdefault("PORT", str(params["port"]))
        warm_up()
        SETTINGS["development"] = params.get("development") is True
        self.concurrency = params.get("concurrency") or 0
        self.debugged = params.get("debugPort") is not None
        if self.ahead is None:
            os.chdir(params.get("workdir") or params["code"])

    def _specialise(self, params, outcome):
        def settle(shape, transport, dispatch, stop):
            if outcome.first():
                self.dispatch, self.stop_function = dispatch, stop
                self.state = "specialised"
                outcome.answer(result={"shape": shape, "loadMs": outcome.took(), "transport": transport})

        port = params.get("port")
        self.program_listens = lambda: settle("program", {"kind": "http1", "host": "127.0.0.1", "port": port}, None, None)
        try:
            self._settle_in(params)
            from _petrel import loader

            code = self.ahead.code if self.ahead else loader.import_code(params, self)
            settle(*loader.bind(code, params, params.get("function") or "function", self))
        except BaseException as error:  # noqa: B036: SystemExit at load is the code's fault too
            outcome.fail(error)

    def _preload(self, params, outcome):
        """Loads a function's code for instances that are forked from here."""
        from _petrel import ahead, forkable, loader

        def refuse(problem):
            if outcome.first():
                self.state = "failed"
                outcome.answer(result={"loadMs": outcome.took(), "problem": problem})
                self.leave(1)

        self.program_listens = lambda: refuse("it is a program")
        try:
            watch = forkable.Watch()
            self._settle_in(params)
            code = loader.import_code(params, self)
            load_ms = outcome.took()
            problem = "it is a program" if code.found is None else watch.problem(params.get("trusted") is True)
        except BaseException as error:  # noqa: B036
            outcome.fail(error)
            return
        if problem is not None:
            refuse(problem)
        elif outcome.first():
            self.ahead = ahead.Ahead(params, code)
            self.resting = True
            outcome.answer(result={"loadMs": load_ms})

    def workers(self):
        if self._workers is None:
            from _petrel import workers

            start = threads.for_debuggers if self.debugged else threads.start
            self._workers = workers.Workers(self.concurrency or workers.MAX_THREADS, start)
        return self._workers

    def loop(self):
        if self._loop is None:
            from _petrel.asgi import Loop

            self._loop = Loop()
        return self._loop

    def when_able(self, act):
        """Calls act() when a request that comes now would be worked on: a PONG says so."""
        if self._loop is not None:
            self._loop.loop.call_soon_threadsafe(act)
        elif self._workers is not None:
            self._workers.when_able(act)
        else:
            act()

    # ---- the end ----

    def drain(self, seconds):
        """Takes no new requests; returns how many are left when the time is over."""
        self.draining = True
        for connection in list(self.connections):
            connection.goaway()
        with self.idle:
            self.idle.wait_for(lambda: self.in_flight == 0, seconds)
            return self.in_flight

    def stop(self, code):
        """Ends in order: the user's own shutdown first."""
        if self.stop_function is not None:
            run = threading.Thread(target=self._stop_function, daemon=True)
            run.start()
            run.join(OPTIONS["term_grace"])
        self.leave(code)

    def _stop_function(self):
        try:
            self.stop_function()
        except BaseException as error:  # noqa: B036
            sys.stderr.write(f"petrel: shutdown failed: {stack_of(error)}\n")

    def crash(self, reason, message, detail, code):
        self.state = "failed"
        for connection in list(self.connections):
            connection.goaway()  # first, so that nothing new is sent here
            for exchange in list(connection.exchanges.values()):
                text = message if SETTINGS["development"] else "the instance crashed while it worked on this request"
                exchange.reset("crashed", text)
            if connection.role == "control":
                connection.send(f.encode_json(f.EVENT, 0, {"event": "failed", "reason": reason, "message": message, "detail": detail}))
        self.leave(code)

    def on_exit(self, error):
        """A handler called sys.exit()."""
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        self.crash("exit", f"the handler called sys.exit({error.code!r})", stack_of(error), code or 1)

    def on_program_start(self, child):
        self.child = child

    def on_program_exit(self, code, tail):
        if not self.leaving and not self.draining:
            self.crash("exit", f"the program ended with exit code {code}", tail, 1)

    def leave(self, code):
        with self.lock:
            if self.leaving:
                return
            self.leaving = True
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass
        for connection in list(self.connections):
            connection.close()
        os._exit(code)

    def watch_sigterm(self):
        """
        SIGTERM is noticed by a thread, through the file descriptor that Python's own C handler writes to: a Python handler would
        have to wait for the main thread, which user code may keep busy.
        """
        reading, writing = socket.socketpair()
        writing.setblocking(False)
        self.signals = writing
        # Code that was loaded before may have a handler of its own.
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)

        def wait():
            while signal.SIGTERM not in (told := reading.recv(64)):
                if not told:
                    return  # it is at rest
            self.drain(OPTIONS["term_grace"])
            self.stop(0)
            writing.close()

        threads.start("signals", wait)

    # ---- life ----

    def listen(self, path):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.server.bind(path)
        except OSError as error:
            sys.stderr.write(f"petrel: cannot listen on {path}: {error}\n")
            sys.exit(2)
        self.server.listen(128)
        self.alone(OPTIONS["orphan"])
        threads.start("accept", self._accept)

    def _accept(self):
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return  # it is at rest
            Connection(sock, self)

    def live(self):
        """Works until it is to be forked."""
        while not self.resting:
            lonely = self.lonely
            try:
                job = self.jobs.get(timeout=None if lonely is None else max(0, lonely - time.monotonic()))
            except queue.Empty:
                if self.lonely is not None and self.lonely <= time.monotonic():
                    self.leave(0)
                continue
            job()

    def rest(self):
        """Ends all connections and threads: nothing of ours is under way then. Ends the process when that does not work."""
        # Not only closed: that would leave somebody who waits for connections waiting.
        self.server.shutdown(socket.SHUT_RDWR)
        signal.set_wakeup_fd(-1)
        self.signals.close()
        if self._workers is not None:
            self._workers.end()
        for connection in list(self.connections):
            connection.close()
        until = time.monotonic() + REST
        while threads.others() > 0 and time.monotonic() < until:
            time.sleep(0.001)
        self.server.close()
        self._company()
        if threads.others() > 0:
            sys.stderr.write("petrel: cannot be forked: a thread did not end\n")
            os._exit(1)


def begin(warm=False, channel=None, ahead=None):
    """An instance that listens where its variables say."""
    read_options()
    path = OPTIONS["socket"]
    if not path:
        sys.stderr.write("petrel: PETREL_SOCKET is not set: the python runtime is started by the platform\n")
        sys.exit(2)
    supervisor = Supervisor(channel, ahead)
    supervisor.warmed = warm
    supervisor.watch_sigterm()
    supervisor.listen(path)
    return supervisor


def main(warm=False, channel=None):
    """Begins the life of this process; `warm`: what the first function would wait for is imported; `channel` as Supervisor has it."""
    begun = dict(os.environ)
    ahead = None
    # Standard input is at its end for user code, whatever the process was started with.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    while True:
        supervisor = begin(warm, channel, ahead)
        supervisor.live()
        supervisor.rest()
        from _petrel.ahead import serve

        ahead = supervisor.ahead
        serve(channel, begun)
        channel = None  # from here on it is one of those that were forked


if __name__ == "__main__":
    main()
