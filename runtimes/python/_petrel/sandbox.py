"""
What a forked process does before anything of the user's can run in it: enters its control groups, makes namespaces and a view of
the file system of its own, and gives up all privileges. The node agent says how; see runtimes/PROTOCOL.md, "Zygote".
"""

import ctypes
import os
import socket

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
# Mount, ipc and uts; that for process ids is made before the fork.
_NEW_NAMESPACES = CLONE_NEWNS | 0x08000000 | 0x04000000
_RECURSIVE_PRIVATE = 0x4000 | 0x40000
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_LAST_CAPABILITY = 63
_CAPABILITY_VERSION = 0x20080522


def _call(name, *args):
    if getattr(_libc, name)(*args) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def unshare(flags):
    _call("unshare", ctypes.c_int(flags))


def setns(fd, flags):
    _call("setns", ctypes.c_int(fd), ctypes.c_int(flags))


def mount(source, target, kind, flags, data):
    text = [os.fsencode(part) for part in (source, target, kind, data)]
    try:
        _call("mount", *text[:3], ctypes.c_ulong(flags), text[3])
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} at {target}") from None


def _prctl(option, value):
    _call("prctl", ctypes.c_int(option), *(ctypes.c_ulong(each) for each in (value, 0, 0, 0)))


def _drop_privileges(user):
    """`user`: whom to become; None: the same, without capabilities."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if user is None:
        for each in range(_LAST_CAPABILITY + 1):
            try:
                _prctl(_PR_CAPBSET_DROP, each)
            except OSError:
                break  # the kernel knows no more
    else:
        os.setgroups(user["groups"])
        os.setresgid(user["gid"], user["gid"], user["gid"])
        os.setresuid(user["uid"], user["uid"], user["uid"])
    _call("capset", (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)())
    _prctl(_PR_SET_DUMPABLE, 1)  # as after an exec: otherwise /proc/self belongs to root


def enter(sandbox):
    """Raises when the process could not be confined: it must end then."""
    for path in sandbox["groups"]:
        with open(path, "w") as group:
            group.write("0")
    unshare(_NEW_NAMESPACES)
    mount("none", "/", "", _RECURSIVE_PRIVATE, "")
    socket.sethostname(sandbox["hostname"])
    for each in sandbox["mounts"]:
        if each.get("mkdir"):
            os.makedirs(each["target"], 0o755, exist_ok=True)
        for flags in each["flags"]:  # more than one: what a bind mount may do is settled by mounting it again
            mount(each["source"], each["target"], each["type"], flags, each["data"])
    os.chroot(sandbox["root"])
    os.chdir("/")
    _drop_privileges(sandbox.get("user"))
