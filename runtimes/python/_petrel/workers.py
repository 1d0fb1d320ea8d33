"""Threads for sync handlers: made as they are needed, up to a limit, and kept."""

import contextvars
import queue
import threading

from . import threads

# Enough for handlers that mostly wait; memory of an idle thread is some 60 kB.
MAX_THREADS = 256


class Workers:
    def __init__(self, limit, start=threads.start):
        self.limit = limit
        self.start = start
        self.jobs = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.threads = 0
        self.idle = 0
        self.running = set()  # exchanges that have a thread
        self.waiting = []

    def when_able(self, act):
        """
        Calls act() now, or, while every thread is stuck in a handler whose request is over already, when the first of them returns.
        A thread cannot be stopped; one whose handler hangs takes no request any more.
        """
        with self.lock:
            over = [exchange.aborted for exchange in list(self.running)]
            stuck = sum(1 for aborted in over if aborted is not None and aborted.code != "complete")
            if stuck >= self.limit:
                self.waiting.append(act)
                return
        act()

    def run(self, job, *args):
        """Calls job(*args), the first of which is the exchange, on a thread, in a context of its own."""
        with self.lock:
            if self.idle > 0:
                self.idle -= 1
            elif self.threads < self.limit:
                self.threads += 1
                self.start(f"worker-{self.threads}", self._work)
            else:
                self.jobs.put((job, args))  # waits its turn
                return
            self.running.add(args[0])
        self.jobs.put((job, args))

    def end(self):
        """Ends all threads, once each has done what it is at."""
        for _ in range(self.threads):
            self.jobs.put((None, ()))

    def _work(self):
        while True:
            job, args = self.jobs.get()
            if job is None:
                return
            self.running.add(args[0])
            contextvars.Context().run(job, *args)
            with self.lock:
                self.running.discard(args[0])
                self.idle += 1
                waiting, self.waiting = self.waiting, []
            job = args = None
            for act in waiting:
                act()
