"""What a sandboxed child does before anything else: leave the machine's view, take limits, drop rights.

    outer process (this file)  ends with its parent; takes the program and all its descendants with it
      init (namespaces only)   process 1 of its own process tree: when it ends, the kernel ends all others
        the program            limits, no rights, nothing but the interpreter to see

bubblewrap makes the upper two itself.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys

from rftlab.sandbox.calls import refuse_calls
from rftlab.sandbox.sweep import sweep, threads_of

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
MNT_DETACH = 2
DEVICES = ("null", "zero", "full", "random", "urandom")

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    """A function of the C library; ``OSError`` where it fails."""
    if getattr(libc, name)(*args) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def prctl(option, value):
    if sys.platform == "linux":
        call("prctl", option, ctypes.c_ulong(value), 0, 0, 0)


def main(config):
    {"bubblewrap": run, "namespaces": in_namespaces, "limits": under_limits}[config["level"]](config)


def under_limits(config):
    die_with_parent(config["parent"])
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans come to this process, which ends them
    os.umask(0o077)
    program = os.fork()
    if program == 0:
        run(config)
    code = wait_for(program, config)
    sweep(config["uid"])
    os._exit(code)


def in_namespaces(config):
    die_with_parent(config["parent"])
    uid, gid = os.getuid(), os.getgid()
    # Root drops to another user afterwards; anyone else needs a user namespace for the right to mount.
    user = CLONE_NEWUSER if config["uid"] is None else 0
    call("unshare", user | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"65534 {uid} 1"), ("gid_map", f"65534 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        with open("/proc/sys/user/max_user_namespaces", "w") as file:
            file.write("0")  # inside this one
    init = os.fork()
    if init == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        narrow_view(config)
        program = os.fork()
        if program == 0:
            run(config)
        let_go(config)
        ended, status = os.wait()
        while ended != program:
            ended, status = os.wait()
        os._exit(exit_code(status))
    os._exit(wait_for(init, config))


def narrow_view(config):
    """Leaves the paths in ``visible``, read-only, a few devices and an empty /tmp; everything else is gone."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    root = "/proc"  # a folder that every machine has, and that nothing below is taken from
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    os.mkdir(root + "/tmp")  # first: what is visible may lie in it
    size = f"size={config['limits']['disk']},nr_inodes=4096,mode=1777"
    mount("tmpfs", root + "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, size)
    for path in config["visible"]:
        place = root + path
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.islink(path):
            os.symlink(os.readlink(path), place)
            continue
        os.makedirs(place, exist_ok=True) if os.path.isdir(path) else open(place, "x").close()
        bind(path, place, MS_RDONLY)
    os.mkdir(root + "/dev")
    for name in DEVICES:
        if os.path.exists(f"/dev/{name}"):
            open(f"{root}/dev/{name}", "x").close()
            mount(f"/dev/{name}", f"{root}/dev/{name}", None, MS_BIND)
    mount(None, root, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir(root)
    call("pivot_root", b".", b".")  # the old root now lies over the new one
    call("umount2", b".", MNT_DETACH)
    os.chdir("/tmp")


def bind(path, place, flags):
    mount(path, place, None, MS_BIND | MS_REC)
    there = os.statvfs(path).f_flag  # in a user namespace these may be kept but not loosened
    kept = sum(flag for flag in (MS_NOSUID, MS_NODEV, MS_NOEXEC) if there & flag)
    mount(None, place, None, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | kept | flags)


def mount(source, target, kind, flags, data=None):
    text = [None if each is None else each.encode() for each in (source, target, kind, data)]
    call("mount", text[0], text[1], text[2], ctypes.c_ulong(flags), text[3])


def run(config):
    """The innermost process: limits, no rights, then the program."""
    code, ready = 125, config["ready"]
    try:
        os.setsid()  # a signal to its own group reaches nobody else
        take_limits(config)
        drop_rights(config)
        entry = sys.modules[config["main"]].main
        os.write(ready, b"1")
        os.close(ready)
        ready = None
        code = entry(config["job"], config["channel"]) or 0
    except BaseException as error:
        if ready is not None:
            os.write(ready, f"{type(error).__name__}: {error}".encode()[:4000])
    finally:
        os._exit(code)


def take_limits(config):
    wanted = config["limits"]
    processes = wanted["processes"]
    if config["level"] == "limits" and config["uid"] is None:
        processes += threads_of(os.getuid())  # the kernel counts all that this user runs
    for name, value in (
        ("RLIMIT_AS", wanted["memory"]),
        ("RLIMIT_CPU", wanted["cpu"]),
        ("RLIMIT_FSIZE", wanted["disk"]),
        ("RLIMIT_NPROC", processes),
        ("RLIMIT_NOFILE", wanted["files"]),
        ("RLIMIT_CORE", 0),
    ):
        limit = getattr(resource, name)
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def drop_rights(config):
    uid = config["uid"]
    if uid is not None:
        library = {path: os.open(path, os.O_RDONLY) for path in sys.path if os.path.isdir(path)}
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        keep_library(library)
    elif config["level"] == "namespaces":
        header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        call("capset", header, none)
    if not any(path.startswith("/proc") for path in sys.path):
        prctl(PR_SET_DUMPABLE, 0)  # no process of the same user reads this one's memory
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if sys.platform == "linux":
        refuse_calls(libc)
    if config["level"] != "bubblewrap":  # cleared by the change of user
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def keep_library(doors):
    """The standard library through open folders, where the new user cannot walk to it (a home of mode 700)."""
    if all(os.access(path, os.R_OK | os.X_OK) for path in doors):
        for handle in doors.values():
            os.close(handle)
        return
    prctl(PR_SET_DUMPABLE, 1)  # else /proc/self would be root's
    sys.path[:] = [f"/proc/self/fd/{handle}" for handle in doors.values()]
    for module in list(sys.modules.values()):
        if hasattr(module, "__path__"):
            module.__path__ = [through(path, doors) for path in module.__path__]


def through(path, doors):
    """``path`` by the longest open folder that holds it."""
    for folder in sorted(doors, key=len, reverse=True):
        if path.startswith(folder + "/"):
            return f"/proc/self/fd/{doors[folder]}{path[len(folder) :]}"
    return path


def die_with_parent(parent):
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(125)


def wait_for(child, config):
    """The exit code of ``child``, which SIGTERM kills."""

    def stop(*_):
        with contextlib.suppress(ProcessLookupError):  # ended at this very moment: its descendants are still to be
            os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    let_go(config)
    status = os.waitpid(child, 0)[1]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return exit_code(status)


def let_go(config):
    """Closes what belongs to the program, so that its end is seen at the other end of the pipes."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2, config["ready"], config["channel"]):
        if fd is not None:
            os.dup2(nothing, fd)


def exit_code(status):
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
