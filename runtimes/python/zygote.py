"""
The zygote of the python runtime: a process that has imported what every instance needs and never listens itself. It waits to be
told to fork (runtimes/PROTOCOL.md, "Zygote"); a forked process confines itself and goes on as an instance. It has no threads.
"""

import gc
import json
import os
import sys
import threading

import supervisor
from _petrel import gate, rehearsal, reseed, sandbox
from _petrel.forker import KILL, Forker, open_output, try_out

CONTROL = 3


def import_all():
    """What functions use more often than not: shared by all instances as long as nobody writes there."""
    supervisor.warm_up()
    from _petrel import ahead, asgi, forkable  # noqa: F401
    import asyncio, concurrent.futures, dataclasses, datetime, http.client, logging, typing, urllib.request, uuid  # noqa: E401, F401


def start_keeper(keeper):
    nothing = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    life = (os.POSIX_SPAWN_OPEN, 0, keeper["life"], os.O_RDONLY, 0)
    command = keeper["command"]
    return os.posix_spawn(command[0], command, {}, file_actions=[life, *nothing], setsid=True)


class Zygote:
    def __init__(self):
        self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self.forker = Forker(CONTROL, CONTROL, [self.own_pids])
        self.tell = self.forker.tell
        # Without root the process numbers of the machine are not its own: it could leave them, but not come back.
        self.returns = sandbox.may_enter(self.own_pids, sandbox.CLONE_NEWPID)
        if not self.returns:
            sandbox.take_orphans()

    def carry_out(self, order):
        """Forks; whether this is the child."""
        keeper = order.get("keeper")
        if keeper is None:
            first, pid = None, sandbox.fork_bare()
        elif self.returns:
            first, pid = self._fork_kept(keeper, self._return)
        else:
            first, pid = self._fork_aside(keeper)
        if pid == 0:
            return True
        if first is not None:
            self.forker.watch(first)
        self.forker.watch(pid)
        self.tell(id=order["id"], pid=pid, keeper=first)
        return False

    def _return(self):
        sandbox.setns(self.own_pids, sandbox.CLONE_NEWPID)

    def _fork_kept(self, keeper, after):
        """
        Forks into a new pid namespace, whose first process is the keeper; both numbers. What is forked next goes there too, unless `after`
        comes back; it is called in this process, however that ends.
        """
        pid = None
        try:
            sandbox.unshare(sandbox.CLONE_NEWPID)
            first = start_keeper(keeper)
            try:
                pid = sandbox.fork_bare()
            except OSError:
                os.kill(first, KILL)
                os.waitpid(first, 0)
                raise
        finally:
            if pid != 0:
                after()
        return first, pid

    def _fork_aside(self, keeper):
        """The same by a process in between, which leaves both to this one when it ends."""
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            os.close(reading)
            try:
                first, pid = self._fork_kept(keeper, lambda: None)
                if pid == 0:
                    os.close(writing)
                    return first, pid
                told = {"forked": [first, pid]}
            except OSError as error:
                told = {"error": str(error)}
            os.write(writing, json.dumps(told).encode())
            os._exit(0)
        os.close(writing)
        with open(reading, "rb") as pipe:
            text = pipe.read()
        os.waitpid(between, 0)
        told = json.loads(text or "{}")
        if "forked" not in told:
            raise OSError(told.get("error", "the process in between has ended"))
        return told["forked"]

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

    def _take_variables(self, env):
        """What is the same already is left alone, as everything that is written to becomes this process's own."""
        for name in [name for name in os.environ if name not in env]:
            del os.environ[name]
        for name, value in env.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

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
            self._take_variables(order["env"])
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
        problem = try_out(sandbox.fork_bare)
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
    # What Python does after its own fork.
    reseed.reseed()
    threading.main_thread()._set_native_id()
    supervisor.main(warm=True, channel=channel)


if __name__ == "__main__":
    main()
