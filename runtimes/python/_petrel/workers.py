"""Threads for sync handlers: made as they are needed, up to a limit, and kept."""

import contextvars
import queue
import threading

# Enough for handlers that mostly wait; memory of an idle thread is some 60 kB.
MAX_THREADS = 256


class Workers:
    def __init__(self, limit):
        self.limit = limit
        self.jobs = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.threads = 0
        self.idle = 0

    def run(self, job, *args):
        """Calls job(*args) on a thread, in a context of its own."""
        with self.lock:
            if self.idle > 0:
                self.idle -= 1
            elif self.threads < self.limit:
                self.threads += 1
                threading.Thread(target=self._work, daemon=True, name=f"petrel-{self.threads}").start()
            # Otherwise the job waits its turn.
        self.jobs.put((job, args))

    def _work(self):
        while True:
            job, args = self.jobs.get()
            contextvars.Context().run(job, *args)
            job = args = None
            with self.lock:
                self.idle += 1
