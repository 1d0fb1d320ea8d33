"""
Threads of our own. Not `threading.Thread`: making one writes to a hundred pages of memory that a forked process shares with its
siblings until then.
"""

import _thread
import os
import sys

_living = {}  # number of the kernel → name


def start(name, run, *args):
    """Calls run(*args) on a thread of its own, which keeps nobody from ending."""

    def body():
        number = _thread.get_native_id()
        _living[number] = name
        try:
            run(*args)
        except SystemExit:
            pass
        except BaseException as error:  # noqa: B036
            sys.stderr.write(f"petrel: the thread {name} has ended: {error!r}\n")
        finally:
            _living.pop(number, None)

    _thread.start_new_thread(body, ())


def ours():
    """Their numbers."""
    return set(_living)


def others():
    """How many threads there are, as the kernel counts, but this one."""
    return len(os.listdir("/proc/self/task")) - 1


def for_debuggers(name, run, *args):
    """As `start`, where a debugger has to see what runs."""
    import threading

    threading.Thread(target=run, args=args, daemon=True, name=f"petrel-{name}").start()


class Timer:
    """Calls act(*args) in so many seconds, unless it is cancelled."""

    def __init__(self, seconds, act, *args):
        self.over = _thread.allocate_lock()
        self.over.acquire()
        start("timer", self._wait, seconds, act, args)

    def _wait(self, seconds, act, args):
        if not self.over.acquire(timeout=seconds):
            act(*args)

    def cancel(self):
        try:
            self.over.release()
        except RuntimeError:
            pass  # it has been already
