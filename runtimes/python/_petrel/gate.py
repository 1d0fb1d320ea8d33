"""
The gate of a function zygote: a process with the platform's rights that runs files of the runtime only, beside one without any that
has loaded a function's code (runtimes/PROTOCOL.md, "Function zygote"). The two have root and working directory in common, so this one
can give each process that the other forks a root of its own; it puts it into its control groups, and tells of its end.
"""

import json
import os
import re

from . import sandbox as box
from .forker import KILL, Lines, exit_code, readable

BIND, RECURSIVE, UNBINDABLE, PRIVATE = 0x1000, 0x4000, 0x20000, 0x40000
# Where the roots are; nobody but this process may pass.
SLOTS = "/run/.petrel-slots"
# Longest time that a fork may take, and that the exit code of a process that has ended may keep others waiting, ms.
FORK_MS = 2000
CODE_MS = 500
# Exit code of a process whose end nobody has seen.
UNSEEN = 255


def _within(inner, outer):
    return inner.startswith(outer + "/")


def scratch_of(sandbox, fresh):
    """The directories that an instance has of its own: the mount of each, and what lies in it of the view."""
    root = sandbox["root"]
    inside = [{**each, "target": each["target"][len(root) :]} for each in sandbox["mounts"]]
    found = []
    for own in inside:
        if own["type"] != "tmpfs" or own["target"] not in fresh:
            continue
        nested = [each["target"] for each in inside if _within(each["target"], own["target"])]
        # What lies in one of these comes along with it.
        found.append((own, [each for each in nested if not any(_within(each, other) for other in nested)]))
    return found


class Gate:
    def __init__(self, orders, answers, to, source, go, zygote, groups, root, scratch):
        self.orders = Lines(orders)
        self.answers = answers
        self.to = to
        self.source = Lines(source)
        self.go = go
        self.zygote = zygote
        self.groups = groups
        self.root = root
        self.scratch = scratch
        self.end = os.pidfd_open(zygote)
        self.children = {}  # descriptor that tells of its end → (id, pid, slot)
        self.codes = {}  # exit codes that the other process has told
        self.slots = 0
        self.ending = False
        self.living = True

    def tell(self, **message):
        os.write(self.answers, (json.dumps(message) + "\n").encode())

    def _make_slot(self, at):
        """A root like the other process's, with scratch space of its own."""
        os.mkdir(at)
        box.mount("/", at, "", BIND | RECURSIVE, "")
        box.mount("", at, "", PRIVATE | RECURSIVE, "")
        for own, nested in self.scratch:
            box.mount("tmpfs", at + own["target"], "tmpfs", own["flags"][0], own["data"])
            for each in nested:
                os.makedirs(at + each, 0o755, exist_ok=True)
                box.mount(each, at + each, "", BIND | RECURSIVE, "")

    def _remove_slot(self, at):
        if self.root is None or not os.path.exists(at):
            return
        try:
            box.unmount(at)
        except OSError:
            pass  # it was not mounted yet
        os.rmdir(at)

    def _in_slot(self, at, work):
        """Calls work() while both processes have this root."""
        if self.root is None:
            return work()
        self._make_slot(at)
        os.chroot(at)
        os.chdir("/")
        try:
            return work()
        finally:
            os.fchdir(self.root)
            os.chroot(".")

    def _said(self, ms):
        """The next thing that the other process says; None: nothing in that time, or it has ended."""
        while True:
            line = self.source.take()
            if line is not None:
                return line
            if not readable([self.source.fd], ms) or not self.source.read():
                return None

    def _check(self, pid):
        """Believed only of a process that the other has forked."""
        parent = None
        if isinstance(pid, int):
            with open(f"/proc/{pid}/status") as status:
                parent = re.search(r"^PPid:\s+(\d+)", status.read(), re.M)
        known = any(child[1] == pid for child in self.children.values())
        if parent is None or int(parent[1]) != self.zygote or known:
            raise OSError("the zygote has named a process that is not its own")
        return pid

    def _ask(self, order):
        """Has the other process fork; what it says is the new one's number."""
        os.write(self.to, (json.dumps(order) + "\n").encode())
        while True:
            said = self._said(FORK_MS) or {}
            if "ended" in said:
                self.codes[said["ended"]] = said.get("code")
            elif "pid" in said:
                return said["pid"]
            else:
                raise OSError(said.get("error", "the zygote does not fork"))

    def _fork(self, order):
        number, groups = order.pop("id"), order.pop("groups")
        self.slots += 1
        slot = f"{SLOTS}/{self.slots}"
        try:
            pid = self._check(self._in_slot(slot, lambda: self._ask({"id": number, **order})))
            fd = os.pidfd_open(pid)
            try:
                for file in groups:
                    self._enter(file, pid)
            except BaseException:
                os.close(fd)
                os.kill(pid, KILL)
                raise
            self.children[fd] = (number, pid, slot)
            os.write(self.go, b"!")
            # Not before: whoever reads its output must not take it for over.
            if self._has_begun(fd):
                self.tell(id=number, up=True)
            else:
                os.kill(pid, KILL)
        except BaseException:
            self._remove_slot(slot)
            raise

    def _has_begun(self, end):
        """Whether a forked process has opened what it was told to; `end` tells of its end."""
        while True:
            while (said := self.source.take()) is not None:
                if said.get("begun"):
                    return True
                if "ended" in said:
                    self.codes[said["ended"]] = said.get("code")
            ready = readable([self.source.fd, end], FORK_MS)
            if self.source.fd not in ready or not self.source.read():
                return False

    def _enter(self, file, pid):
        """`file`: `cgroup.procs` of a control group, as the node agent sees it."""
        directory, name = os.path.split(file)
        base = self.groups[os.path.dirname(directory)]
        with open(f"/proc/self/fd/{base}/{os.path.basename(directory)}/{name}", "w") as group:
            group.write(str(pid))

    def _ended(self, fd):
        """One of the forked processes has ended."""
        number, pid, slot = self.children.pop(fd)
        os.close(fd)
        while self.living and pid not in self.codes:
            said = self._said(CODE_MS)
            if said is None:
                break
            if "ended" in said:
                self.codes[said["ended"]] = said.get("code")
        code = self.codes.pop(pid, None)
        self._remove_slot(slot)
        self.tell(ended=number, code=code if isinstance(code, int) else UNSEEN)

    def _lost(self):
        code = exit_code(os.waitpid(self.zygote, 0)[1])
        self.living = False
        os.close(self.end)
        self.tell(lost=f"it ended with exit code {code}")

    def _carry_out(self, order):
        if order.get("end"):
            self.ending = True
            if self.living:
                os.kill(self.zygote, KILL)
        fork = order.get("fork")
        if fork is None:
            return
        number = fork["id"]
        try:
            if not self.living or self.ending:
                raise OSError("the zygote has ended")
            self._fork(fork)
        except OSError as error:
            self.tell(id=number, error=str(error))

    def serve(self):
        """Until the other process and all that it has forked have ended. Returns the exit code."""
        while True:
            alive = [self.source.fd, self.end] if self.living else []
            ready = readable([self.orders.fd, *alive, *self.children])
            # First, as those that have ended may have it read again. It has closed what it cannot do without: it is ended.
            if self.living and self.source.fd in ready and not self.source.read() and self.end not in ready:
                os.kill(self.zygote, KILL)
            while (said := self.source.take()) is not None:
                if said.get("ready"):
                    self.tell(ready=True)
                if "ended" in said and any(child[1] == said["ended"] for child in self.children.values()):
                    self.codes[said["ended"]] = said.get("code")
            for fd in ready:
                if fd in self.children:
                    self._ended(fd)
            if self.living and self.end in ready:
                self._lost()
            if self.orders.fd in ready and not self.orders.read():
                return 1
            while (order := self.orders.take()) is not None:
                self._carry_out(order)
            if not self.living and not self.children:
                return 0 if self.ending else 1


def open_gate(gate, sandbox, control):
    """
    In a process that was just forked and has no threads: becomes the gate, which never returns, and makes the process that is to load
    code, where this returns (orders, answers, go): descriptors, the last of which gives a byte for each forked process that may go on.
    That one is confined, and can do nothing more than an instance. Raises OSError when that does not work.
    """
    orders = os.open(gate["orders"], os.O_RDONLY)
    answers = os.open(gate["answers"], os.O_WRONLY)
    groups = {path: os.open(path, os.O_PATH) for path in gate["groups"]}
    root = None
    if sandbox is not None:
        box.build_view(sandbox)
        # Not chroot(2): from a directory that is open outside of its root a process could climb to the machine's.
        box.pivot(sandbox["root"])
        root = os.open("/", os.O_RDONLY)
        os.mkdir(SLOTS)
        box.mount("tmpfs", SLOTS, "tmpfs", 0, "mode=700,size=1m")
        # Otherwise each root would contain all others.
        box.mount("", SLOTS, "", UNBINDABLE, "")
    source, to = os.pipe()
    back, target = os.pipe()
    go_ahead, go = os.pipe()
    mine = [orders, answers, to, back, go, *groups.values(), *([] if root is None else [root])]
    zygote = os.fork() if sandbox is None else box.fork_bare(shares_root=True)
    if zygote == 0:
        for fd in mine:
            os.close(fd)
        if sandbox is not None:
            box.drop_privileges(sandbox.get("user"))
        return source, target, go_ahead
    code = 1
    try:
        for fd in (source, target, go_ahead, control):
            os.close(fd)
        scratch = [] if sandbox is None else scratch_of(sandbox, gate["fresh"])
        code = Gate(orders, answers, to, back, go, zygote, groups, root, scratch).serve()
    finally:
        os._exit(code)
