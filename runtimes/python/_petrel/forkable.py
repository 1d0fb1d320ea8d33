"""Whether a process in which a function's code has been loaded can be forked: what code does while it loads may forbid it."""

import os
import random
import sys
import threading
import time
import uuid  # noqa: F401: looked at below
import warnings

from . import forker, reseed, threads

# What our own threads are called: they end before anything is forked.
OWN = "petrel-"
# After the load, what has begun may take this long to end, s.
SETTLE = 0.5
LOOK = 0.02
# Functions whose results must be nobody else's, where they are looked up.
RANDOM = (("os", "urandom"), ("os", "getrandom"), ("random", "_urandom"), ("uuid", "uuid1"), ("ssl", "RAND_bytes"))
# On whose behalf these modules draw is told by who called them.
BETWEEN = {"random", "secrets", "uuid", "os", "ssl", "importlib._bootstrap", "importlib._bootstrap_external", __name__}


def _drawer():
    """Name of the module that asks for random numbers."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") in BETWEEN:
        frame = frame.f_back
    return "" if frame is None else str(frame.f_globals.get("__name__", ""))


def _descriptors():
    """Open descriptors and what they are."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            pass  # that of the directory itself
    return found


def _comm(task):
    try:
        with open(f"/proc/self/task/{task}/comm") as name:
            return name.read().strip()
    except OSError:
        return None


def _foreign_tasks():
    """Names of the threads, as the kernel knows them, that are neither the main one nor ours."""
    ours = {str(thread.native_id) for thread in threading.enumerate() if thread.name.startswith(OWN)}
    ours.update(map(str, threads.ours()))
    others = (task for task in os.listdir("/proc/self/task") if task not in ours and task != str(os.getpid()))
    return [name for name in map(_comm, others) if name is not None]


def _has_children():
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as children:
                if children.read():
                    return True
        except OSError:
            pass  # the thread has ended meanwhile
    return False


class Watch:
    """Begins to watch, before any code is loaded."""

    def __init__(self):
        self.drawn = ""
        self.before = _descriptors()
        self.put = []
        for owner, name in RANDOM:
            self._replace(sys.modules.get(owner), name, name.lstrip("_"), lambda *args: True)
        # A generator of one's own: without a seed it takes one that all would have in common.
        self._replace(random.Random, "seed", "random.Random", lambda *args: len(args) < 2 or args[1] is None)

    def _replace(self, owner, name, called, counts):
        original = getattr(owner, name, None)
        if original is None:
            return

        def watched(*args, **kwargs):
            # The generator of the module `random` itself is seeded anew.
            shared = args and args[0] is random._inst
            if not self.drawn and not shared and counts(*args) and not reseed.is_ours(_drawer()):
                self.drawn = called
            return original(*args, **kwargs)

        setattr(owner, name, watched)
        self.put.append((owner, name, original, watched))

    def _look(self):
        """What is there that a fork would not bring along, or would share."""
        if _has_children():
            return "it has started a process"
        for thread in threading.enumerate():
            if thread is not threading.main_thread() and not thread.name.startswith(OWN):
                return f"it has started a thread ({thread.name})"
        for fd, what in _descriptors().items():
            if self.before.get(fd) != what and not what.startswith("/proc/"):
                return f"it has opened {what}"
        return None

    def problem(self, trusted):
        """
        Asked once when the code has been loaded: why this process cannot be forked, or None. `trusted`: whoever wrote the code says that
        it may draw random numbers while it loads.
        """
        for owner, name, original, watched in self.put:
            # Somebody may have put something of his own there.
            if getattr(owner, name) is watched:
                setattr(owner, name, original)
        if self.drawn and not trusted:
            return f"it has drawn random numbers while it was loaded ({self.drawn})"
        found = self._look()
        until = time.monotonic() + SETTLE
        while found is not None and time.monotonic() < until:
            time.sleep(LOOK)
            found = self._look()
        if found is not None:
            return found
        # The threads of some libraries (BLAS) end by themselves before a fork, and begin anew when they are needed.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            failed = forker.try_out()
        tasks = _foreign_tasks()
        while tasks and time.monotonic() < until:
            time.sleep(LOOK)
            tasks = _foreign_tasks()
        return f"it has started a thread ({tasks[0]})" if tasks else failed
