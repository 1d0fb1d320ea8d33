"""
The zygote of the python runtime: a process that has imported what every instance needs and never listens itself. It waits to be
told to fork (runtimes/PROTOCOL.md, "Zygote"); a forked process confines itself and goes on as an instance. It has no threads.
"""

import gc
import json
import os
import select
import sys

import supervisor
from _petrel import sandbox

CONTROL = 3
MAX_ORDER = 1 << 20
# Longest time that the self-test may take, ms.
TEST_MS = 10_000
KILL = 9


def tell(**message):
    os.write(CONTROL, (json.dumps(message) + "\n").encode())


def import_all():
    """What functions use more often than not: shared by all instances as long as nobody writes there."""
    supervisor.warm_up()
    from _petrel import asgi  # noqa: F401
    import asyncio, concurrent.futures, dataclasses, datetime, http.client, logging, typing, urllib.request, uuid  # noqa: E401, F401


def try_out():
    """What a function may use, tried in a forked process; raises when something does not work."""
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


class Zygote:
    def __init__(self):
        self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self.children = {}  # descriptor that tells of its end → pid
        self.unread = b""
        self.poll = select.poll()
        self.poll.register(CONTROL, select.POLLIN)

    def watch(self, pid):
        fd = os.pidfd_open(pid)
        self.children[fd] = pid
        self.poll.register(fd, select.POLLIN)

    def reap(self, fd):
        pid = self.children.pop(fd)
        self.poll.unregister(fd)
        os.close(fd)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        tell(ended=pid, code=128 - code if code < 0 else code)

    def next(self):
        """The next order; None when the agent is gone."""
        while True:
            line, end, rest = self.unread.partition(b"\n")
            if end:
                self.unread = rest
                return json.loads(line)
            for fd, _ in self.poll.poll():
                if fd != CONTROL:
                    self.reap(fd)
                    continue
                read = os.read(CONTROL, 65536)
                if not read or len(self.unread) > MAX_ORDER:
                    return None
                self.unread += read

    def forget(self):
        """What of the zygote's a child must not have."""
        for fd in [*self.children, self.own_pids]:
            os.close(fd)
        self.children = {}

    def test(self):
        """Why forking does not work; None when it does."""
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                try_out()
                code = 0
            except BaseException as error:  # noqa: B036
                os.write(2, f"petrel: a forked process failed: {error!r}\n".encode())
            os._exit(code)
        fd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        over = bool(poll.poll(TEST_MS))
        if not over:
            os.kill(pid, KILL)
        status = os.waitpid(pid, 0)[1]
        os.close(fd)
        return None if over and status == 0 else f"the forked process failed its test (status {status})"

    def carry_out(self, order):
        """Forks; whether this is the child."""
        first = None
        keeper = order.get("keeper")
        if keeper:
            sandbox.unshare(sandbox.CLONE_NEWPID)
        try:
            if keeper:
                nothing = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
                life = (os.POSIX_SPAWN_OPEN, 0, keeper["life"], os.O_RDONLY, 0)
                command = keeper["command"]
                first = os.posix_spawn(command[0], command, {}, file_actions=[life, *nothing], setsid=True)
                self.watch(first)
            pid = os.fork()
            if pid == 0:
                return True
        except OSError:
            if first is not None:
                os.kill(first, KILL)
            if keeper:
                sandbox.setns(self.own_pids, sandbox.CLONE_NEWPID)
            raise
        if keeper:
            sandbox.setns(self.own_pids, sandbox.CLONE_NEWPID)
        self.watch(pid)
        tell(id=order["id"], pid=pid, keeper=first)
        return False

    def mount_for(self, number, order):
        """Mounts something in the namespace of a process that runs already."""
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                sandbox.setns(os.open(f"/proc/{order['of']}/ns/mnt", os.O_RDONLY), sandbox.CLONE_NEWNS)
                for flags in order["flags"]:
                    sandbox.mount(order["source"], order["target"], "none", flags, "")
                code = 0
            finally:
                os._exit(code)
        self.watch(pid)
        tell(id=number, pid=pid)

    def serve(self):
        """Carries out orders until this is a child, whose order it returns; None when the agent is gone."""
        while (order := self.next()) is not None:
            try:
                if "mount" in order:
                    self.mount_for(order["id"], order["mount"])
                elif self.carry_out(order):
                    break
            except OSError as error:
                tell(id=order["id"], error=str(error))
        return order


def become(order):
    """Confines this process; ends it when that does not work."""
    try:
        os.setsid()
        for fd, name in ((1, "stdout"), (2, "stderr")):
            if name in order:
                opened = os.open(order[name], os.O_WRONLY)
                os.dup2(opened, fd)
                os.close(opened)
        if "sandbox" in order:
            sandbox.enter(order["sandbox"])
        os.environ.clear()
        os.environ.update(order["env"])
        del sys.modules["supervisor"]  # a function may have a module of that name
        sys.argv[:] = [os.path.join(os.path.dirname(sys.argv[0]), "supervisor.py")]
        tell(id=order["id"], up=True)
        os.close(CONTROL)
    except BaseException as error:  # noqa: B036: whatever it was, this must not go on
        tell(id=order["id"], error=f"{type(error).__name__}: {error}")
        os._exit(125)


def main():
    os.set_inheritable(CONTROL, False)
    import_all()
    zygote = Zygote()
    problem = zygote.test()
    if problem is not None:
        tell(failed=problem)
        return
    tell(ready=True)
    # Reference counts are written to anyway; the collector must not write to everything else.
    gc.collect()
    gc.freeze()
    order = zygote.serve()
    if order is None:
        return
    zygote.forget()
    become(order)
    supervisor.main(warm=True)


if __name__ == "__main__":
    main()
