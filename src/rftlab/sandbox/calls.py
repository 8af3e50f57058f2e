"""System calls that no program in the sandbox gets: refused by a seccomp filter, which all its descendants keep.

They hold memory that no limit counts, leave something behind in the kernel, or open more of it than a program needs.
"""

import ctypes
import errno
import os
import struct

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
ALLOW, REFUSE, ABSENT = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Where they stand in what the filter sees."""
CLONE_NEW = 0x7E020000
"""Of a clone: namespaces of its own."""
TABLES = {
    # machine: its number, clone, then (memfd_create, memfd_secret, shmget, mq_open, add_key, request_key, keyctl,
    # unshare, setns, mount, ptrace, bpf, userfaultfd, perf_event_open, io_uring_setup)
    "x86_64": (0xC000003E, 56, (319, 447, 29, 240, 248, 249, 250, 272, 308, 165, 101, 321, 323, 298, 425)),
    "aarch64": (0xC00000B7, 220, (279, 447, 194, 180, 217, 218, 219, 97, 268, 40, 117, 280, 282, 241, 425)),
}
CLONE3 = 435
"""Its flags cannot be seen; where it is absent, the C library takes clone."""


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def refuse_calls(libc):
    """From here on, for this process and all that it starts; does nothing on other machines and kernels without it."""
    known = TABLES.get(os.uname().machine)
    if known is None:
        return
    code = b"".join(struct.pack("HBBI", *each) for each in instructions(*known))
    libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(Program(len(code) // 8, code)), 0, 0)


def instructions(architecture, clone, refused):
    """(code, steps if true, steps if false, operand) of the filter."""
    yield LOAD, 0, 0, ARCHITECTURE
    yield EQUAL, 1, 0, architecture
    yield RETURN, 0, 0, REFUSE
    yield LOAD, 0, 0, NUMBER
    for number in refused:
        yield EQUAL, 0, 1, number
        yield RETURN, 0, 0, REFUSE
    yield EQUAL, 0, 1, CLONE3
    yield RETURN, 0, 0, ABSENT
    yield AT_LEAST, 0, 1, 0x40000000  # the x32 numbers of the same calls
    yield RETURN, 0, 0, REFUSE
    yield EQUAL, 0, 3, clone
    yield LOAD, 0, 0, FIRST_ARGUMENT
    yield ANY_BIT, 0, 1, CLONE_NEW
    yield RETURN, 0, 0, REFUSE
    yield RETURN, 0, 0, ALLOW
