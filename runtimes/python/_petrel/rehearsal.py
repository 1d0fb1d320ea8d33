"""
One whole life of an instance, in the zygote before anything is forked: connections, a function, requests. Whatever runs for the first
time writes to memory and takes time (caches of types and methods, code that is specialised); done here, no instance has to do it.
"""

import os
import shutil
import signal
import socket
import sys
import tempfile

from . import frames as f
from . import threads

# Often enough for Python to have gathered what it wants to know of the code.
LIVES = 3
REQUESTS = 20
CODE = 'def handler(request):\n    return "warm"\n'
MODULE = "petrel_rehearsal"
HEAD = b"GET /warm?a=b\r\nhost: warm.invalid\r\naccept: */*\r\nx-request-id: warm\r\n"
# Longest time that an answer may take, s.
PATIENCE = 5


class _Client:
    """The platform's end of a connection."""

    def __init__(self, path, role):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(path)
        self.held = b""
        self.ask(f.encode_json(f.HELLO, 0, {"version": 1, "role": role}))

    def ask(self, frame):
        self.sock.sendall(frame)
        ready = []
        while not ready:
            chunk = self.sock.recv(65536)
            if not chunk:
                raise ConnectionError("the rehearsal was cut short")
            ready, self.held = f.cut(self.held, chunk)


def _play(path, code):
    control = _Client(path, "control")
    params = {"namespace": "warm", "function": "warm", "revision": "warm", "code": code, "entry": MODULE + ".py", "env": {"WARM": "1"}}
    for number, method in enumerate(("health", "specialise", "health")):
        control.ask(f.encode_json(f.CALL, 0, {"id": number, "method": method, "params": params}))
    control.ask(f.encode(f.PING, 0, b"12345678"))
    data = _Client(path, "data")
    for number in range(REQUESTS):
        data.ask(f.encode(f.REQUEST, number + 1, HEAD))
    for each in (data, control):
        each.sock.close()


def rehearse(begin):
    """`begin(warm)` makes a supervisor that listens where PETREL_SOCKET says; raises when a life does not go as it should."""
    directory = tempfile.mkdtemp(prefix="petrel-rehearsal-")
    before = sys.argv[:], sys.path[:], sys.pycache_prefix, os.getcwd(), dict(os.environ)
    failed = []

    def play(supervisor, path):
        try:
            _play(path, directory)
        except BaseException as error:  # noqa: B036
            failed.append(error)
        supervisor.resting = True
        supervisor.jobs.put(lambda: None)

    try:
        with open(os.path.join(directory, MODULE + ".py"), "w") as file:
            file.write(CODE)
        for life in range(LIVES):
            path = os.path.join(directory, str(life))
            os.environ["PETREL_SOCKET"] = path
            supervisor = begin(True)
            threads.start("rehearsal", play, supervisor, path)
            supervisor.live()
            supervisor.rest()
            sys.modules.pop(MODULE, None)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        shutil.rmtree(directory, ignore_errors=True)
        sys.argv[:], sys.path[:], sys.pycache_prefix = before[:3]
        os.chdir(before[3])
        os.environ.clear()
        os.environ.update(before[4])
    if failed:
        raise failed[0]
