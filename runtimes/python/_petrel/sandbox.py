"""
What a forked process does before anything of the user's can run in it: enters its control groups, makes namespaces and a view of
the file system of its own, and gives up all privileges. The node agent says how; see runtimes/PROTOCOL.md, "Zygote".
"""

import ctypes
import os
import socket

_libc = ctypes.CDLL(None, use_errno=True)
# Calls that Python must not let another thread run beside.
_libc_alone = ctypes.PyDLL(None, use_errno=True)

# Numbers of calls that the C library has no name for, or does more than is wanted in; and whether clone(2) has `ctid` before `tls`.
_CALLS = {
    "x86_64": {"clone": 56, "pivot_root": 155, "ctid_first": True},
    "aarch64": {"clone": 220, "pivot_root": 41, "ctid_first": False},
}
_CLONE_FS, _CLONE_CHILD_CLEARTID, _CLONE_CHILD_SETTID, _SIGCHLD = 0x200, 0x00200000, 0x01000000, 17
_MNT_DETACH = 2

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
# Mount, ipc and uts; that for process ids is made before the fork.
_NEW_NAMESPACES = CLONE_NEWNS | 0x08000000 | 0x04000000
_RECURSIVE_PRIVATE = 0x4000 | 0x40000
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_GET_TID_ADDRESS = 4, 24, 36, 38, 40
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


def may_enter(fd, flags):
    """Whether this process may go to a namespace that it is in already: and so come back to it."""
    return _libc.setns(ctypes.c_int(fd), ctypes.c_int(flags)) == 0


def take_orphans():
    """What those that this process has forked leave behind becomes its own."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def mount(source, target, kind, flags, data):
    text = [os.fsencode(part) for part in (source, target, kind, data)]
    try:
        _call("mount", *text[:3], ctypes.c_ulong(flags), text[3])
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} at {target}") from None


def unmount(target):
    """At once for everybody who looks, in truth when nobody uses it any more."""
    _call("umount2", os.fsencode(target), ctypes.c_int(_MNT_DETACH))


def _number(name):
    machine = os.uname().machine
    if machine not in _CALLS or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise OSError(f"{name}: not known for {machine}")
    return _CALLS[machine][name]


def pivot(root):
    """Makes a directory that is a mount the root of this mount namespace, and takes away what was there before."""
    os.chdir(root)
    _call("syscall", ctypes.c_long(_number("pivot_root")), b".", b".")
    # The old root lies over the new one at the same place.
    unmount(".")
    os.chdir("/")


def fork_bare(shares_root=False):
    """
    As os.fork(), for a process without threads, and without what Python and its libraries do in a forked process: one that had no other
    threads has nothing that would have to be made anew, and looking at all of it costs half a megabyte of memory of its own. Random
    numbers are for the caller, see `reseed`. `shares_root`: root and working directory stay common to both: where one changes them, they
    change for the other; raises OSError on machines where that is not known.
    """
    if not shares_root and os.uname().machine not in _CALLS:
        return os.fork()
    number = _number("clone")
    address = ctypes.c_void_p()
    flags = _SIGCHLD | (_CLONE_FS if shares_root else 0)
    # Where the C library keeps the number of its thread: old kernels may not tell, and few calls need it.
    if _libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) == 0:
        flags |= _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID
    ctid = (address.value or 0, 0) if _number("ctid_first") else (0, address.value or 0)
    rest = [ctypes.c_long(each) for each in (flags, 0, 0, *ctid)]
    pid = _libc_alone.syscall(ctypes.c_long(number), *rest)
    if pid < 0:
        raise OSError(ctypes.get_errno(), f"clone: {os.strerror(ctypes.get_errno())}")
    return pid


def _prctl(option, value):
    _call("prctl", ctypes.c_int(option), *(ctypes.c_ulong(each) for each in (value, 0, 0, 0)))


def drop_privileges(user):
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


def build_view(sandbox):
    """Enters the control groups, and makes the namespaces and the view of the file system. Raises: the process must end then."""
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


def enter(sandbox):
    """Raises when the process could not be confined: it must end then."""
    build_view(sandbox)
    os.chroot(sandbox["root"])
    os.chdir("/")
    drop_privileges(sandbox.get("user"))
