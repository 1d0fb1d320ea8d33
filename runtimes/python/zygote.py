"""
The zygote of the python runtime: a process that has imported what every instance needs and never listens itself. It waits to be
told to fork (runtimes/PROTOCOL.md, "Zygote"); a forked process confines itself and goes on as an instance. It has no threads.
"""

import gc
import os
import sys

import supervisor
from _petrel import gate, rehearsal, reseed, sandbox
from _petrel.forker import KILL, Forker, open_output, try_out

CONTROL = 3


def import_all():
    """What functions use more often than not: shared by all instances as long as nobody writes there."""
    supervisor.warm_up()
    from _petrel import ahead, asgi, forkable  # noqa: F401
    import asyncio, concurrent.futures, dataclasses, datetime, http.client, logging, typing, urllib.request, uuid  # noqa: E401, F401


class Zygote:
    def __init__(self):
        self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self.forker = Forker(CONTROL, CONTROL, [self.own_pids])
        self.tell = self.forker.tell

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
                self.forker.watch(first)
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
        self.forker.watch(pid)
        self.tell(id=order["id"], pid=pid, keeper=first)
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
        self.forker.watch(pid)
        self.tell(id=number, pid=pid)

    def serve(self):
        """Carries out orders until this is a child, whose order it returns; None when the agent is gone."""
        while (order := self.forker.next()) is not None:
            try:
                if "mount" in order:
                    self.mount_for(order["id"], order["mount"])
                elif self.carry_out(order):
                    break
            except OSError as error:
                self.tell(id=order["id"], error=str(error))
        return order

    def become(self, order):
        """
        Confines this process; ends it when that does not work. Returns how it hears of those that are to be forked from it once it has
        loaded code, if that is what it is for.
        """
        channel = None
        try:
            os.setsid()
            open_output(order)
            if "gate" in order:
                channel = gate.open_gate(order["gate"], order.get("sandbox"), CONTROL)
            elif "sandbox" in order:
                sandbox.enter(order["sandbox"])
            os.environ.clear()
            os.environ.update(order["env"])
            del sys.modules["supervisor"]  # a function may have a module of that name
            sys.argv[:] = [os.path.join(os.path.dirname(sys.argv[0]), "supervisor.py")]
            self.tell(id=order["id"], up=True)
            os.close(CONTROL)
        except BaseException as error:  # noqa: B036: whatever it was, this must not go on
            self.tell(id=order["id"], error=f"{type(error).__name__}: {error}")
            os._exit(125)
        return channel


def main():
    os.set_inheritable(CONTROL, False)
    import_all()
    zygote = Zygote()
    try:
        rehearsal.rehearse(supervisor.begin)
        problem = try_out()
    except Exception as error:  # instances are started, then
        problem = f"an instance could not be rehearsed: {error!r}"
    if problem is not None:
        zygote.tell(failed=problem)
        return
    zygote.tell(ready=True)
    # Reference counts are written to anyway; the collector must not write to everything else.
    gc.collect()
    gc.freeze()
    order = zygote.serve()
    if order is None:
        return
    zygote.forker.forget()
    channel = zygote.become(order)
    reseed.reseed()
    supervisor.main(warm=True, channel=channel)


if __name__ == "__main__":
    main()
