"""How loading ends: told once, by whoever knows first."""

import os
import threading
import time

from .errors import SpecialiseError, load_error, main_thread_stack
from .threads import Timer


class Outcome:
    """How a load ends, which more than one may know: the loader, the watch on the port, the time. `first()` is true for one of them."""

    def __init__(self, supervisor, params, answer):
        self.supervisor = supervisor
        self.params = params
        self.answer = answer
        self.began = time.perf_counter()
        self.once = threading.Lock()
        # A program has this limit of its own, and more to say about it.
        seconds = supervisor.load_seconds + (5 if params.get("shape") == "program" else 0)
        self.timer = Timer(seconds, self._too_late)

    def first(self):
        if not self.once.acquire(blocking=False):
            return False
        self.timer.cancel()
        return True

    def took(self):
        return round((time.perf_counter() - self.began) * 1000, 2)

    def fail(self, error):
        if self.first():
            self.supervisor.state = "failed"
            entry = os.path.join(self.params["code"], self.params.get("entry") or "")
            self.answer(error=load_error(error, entry).to_json())
            self.supervisor.leave(1)

    def _too_late(self):
        message = f"{self.params.get('entry') or 'the package'} did not finish loading within {self.supervisor.load_seconds:.0f} s"
        self.fail(SpecialiseError("LoadError", message, detail=f"{message}\n{main_thread_stack()}".strip()))
