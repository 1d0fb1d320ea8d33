"""
What every process that others are forked from has to do, without threads and without a timer: wait for orders, tell how those it has
forked ended, and leave nothing of its own in them.
"""

import json
import os
import select

MAX_ORDER = 1 << 20
# Longest time that a forked process may take to try everything out, ms.
TEST_MS = 10_000
KILL = 9


def exit_code(status):
    """As a shell has it, of what waitpid(2) gives."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def readable(fds, ms=None):
    """Waits until something can be read; those of the descriptors where it can, or that are at their end. None when the time is over."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(ms)]


class Lines:
    """JSON from a descriptor, one value in each line."""

    def __init__(self, fd):
        self.fd = fd
        self.unread = b""

    def take(self):
        """One that has been read already, or None."""
        line, end, rest = self.unread.partition(b"\n")
        if not end:
            return None
        self.unread = rest
        return json.loads(line)

    def read(self):
        """Reads what is there, once there is something; false at its end, or when it is too long for a line."""
        chunk = os.read(self.fd, 65536)
        if not chunk or len(self.unread) > MAX_ORDER:
            return False
        self.unread += chunk
        return True


class Forker:
    """Orders come from `source`, what there is to tell goes to `target`; `own`: further descriptors that a child must not have."""

    def __init__(self, source, target, own=()):
        self.lines = Lines(source)
        self.target = target
        self.own = own
        self.children = {}  # descriptor that tells of its end → pid

    def tell(self, **message):
        os.write(self.target, (json.dumps(message) + "\n").encode())

    def watch(self, pid):
        self.children[os.pidfd_open(pid)] = pid

    def _reap(self, fd):
        pid = self.children.pop(fd)
        os.close(fd)
        self.tell(ended=pid, code=exit_code(os.waitpid(pid, 0)[1]))

    def next(self):
        """The next order; None when nobody gives any more."""
        while True:
            order = self.lines.take()
            if order is not None:
                return order
            ready = readable([self.lines.fd, *self.children])
            for fd in ready:
                if fd != self.lines.fd:
                    self._reap(fd)
            if self.lines.fd in ready and not self.lines.read():
                return None

    def next_fork(self):
        """Forks on orders that are nothing else: in the child its order, in this process None when nobody gives any more."""
        while (order := self.next()) is not None:
            try:
                pid = os.fork()
            except OSError as error:
                self.tell(error=str(error))
                continue
            if pid == 0:
                break
            self.watch(pid)
            self.tell(pid=pid)
        return order

    def forget(self):
        """In a child: lets go of what is its parent's."""
        for fd in [*self.children, *self.own]:
            os.close(fd)
        self.children = {}


def _try_all():
    import asyncio, hashlib, random, socket, subprocess, tempfile, threading  # noqa: E401

    done = []
    thread = threading.Thread(target=lambda: done.append(random.random()))
    thread.start()
    thread.join()
    asyncio.run(asyncio.sleep(0))
    hashlib.sha256(os.urandom(16)).hexdigest()
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
    one, other = socket.socketpair()
    one.send(b"x")
    assert other.recv(1) == b"x" and len(done) == 1
    subprocess.run(["/bin/sh", "-c", "exit 0"], check=True, timeout=5)


def try_out(fork=os.fork):
    """Why what a function may use does not work in a process that is forked from this one; None when all of it does."""
    pid = fork()
    if pid == 0:
        code = 1
        try:
            _try_all()
            code = 0
        except BaseException as error:  # noqa: B036
            os.write(2, f"petrel: a forked process failed: {error!r}\n".encode())
        os._exit(code)
    fd = os.pidfd_open(pid)
    over = bool(readable([fd], TEST_MS))
    if not over:
        os.kill(pid, KILL)
    status = os.waitpid(pid, 0)[1]
    os.close(fd)
    return None if over and status == 0 else f"a forked process failed its test (status {status})"


def open_output(order):
    """Lets standard output and error go where the order says."""
    for fd, name in ((1, "stdout"), (2, "stderr")):
        if name in order:
            opened = os.open(order[name], os.O_WRONLY)
            os.dup2(opened, fd)
            os.close(opened)
