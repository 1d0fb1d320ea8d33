"""
A process that has loaded a function's code, from which its instances are forked (runtimes/PROTOCOL.md, "Function zygote"): it has no
threads while it waits, and no connections.
"""

import gc
import os

from . import reseed
from .forker import Forker, open_output

# What decides which code is loaded.
CODE = ("code", "entry", "handler", "shape", "revision")


class Ahead:
    """What was loaded, for whom."""

    def __init__(self, params, code):
        self.params = params
        self.code = code

    def fits(self, params):
        return all(self.params.get(name) == params.get(name) for name in CODE)

    def has_set(self, name, value):
        """Whether a variable was the same when the code was loaded: what that has made of it stays so. Our own were taken away."""
        return (self.params.get("env") or {}).get(name) == value and not name.startswith("PETREL_")


def serve(channel, begun):
    """
    Forks on orders, and returns in each forked process once that has its control groups, its output, its variables and random numbers of
    its own. `channel` as `gate.open_gate` gives it; `begun`: the variables that this process has begun with.
    """
    source, target, go = channel
    # Everything that is here stays: the collector must not write to it in every child.
    gc.collect()
    gc.freeze()
    forker = Forker(source, target, [go])
    cwd = os.getcwd()
    forker.tell(ready=True)
    order = forker.next_fork()
    if order is None:
        os._exit(0)
    # Not before it is in its control groups.
    os.read(go, 1)
    forker.forget()
    os.setsid()
    open_output(order)
    forker.tell(begun=True)
    for fd in (source, target):
        os.close(fd)
    # The root may be another one.
    os.chdir(cwd)
    for name, value in order["env"].items():
        if begun.get(name) != value or name.startswith("PETREL_"):
            os.environ[name] = value
    reseed.reseed()
