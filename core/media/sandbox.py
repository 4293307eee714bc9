"""What a process that parses untrusted media may still do: compute, and answer on open pipes.

Resource limits everywhere; on Linux also a seccomp filter, so that code smuggled into a decoder
finds no files, no network and no other programs. Nothing here can be undone by the process.
"""

import contextlib
import ctypes
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator

# Allowed on each machine, by number: memory, reading and writing what is open, clocks, signals
# and exits. Everything else fails with EPERM, which Python reports as any other OSError.
_SYSCALLS = {
    # read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask
    # rt_sigreturn sched_yield mremap madvise getpid exit getrusage sigaltstack gettid futex
    # restart_syscall clock_gettime exit_group tgkill prlimit64 getrandom
    "x86_64": (
        0xC000003E,
        (0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 28, 39, 60, 98, 131, 186, 202)
        + (219, 228, 231, 234, 302, 318),
    ),
    "aarch64": (
        0xC00000B7,
        (63, 64, 57, 80, 62, 222, 226, 215, 214, 134, 135, 139, 124, 216, 233, 172, 93, 165, 132)
        + (178, 98, 128, 113, 94, 131, 261, 278),
    ),
}
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_SECCOMP_MODE_FILTER = 2
_ALLOW, _FAIL_EPERM = 0x7FFF0000, 0x00050001
# Classic BPF: load a word of the call's description, jump if equal, return a verdict.
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH = 0, 4


def limit_resources(memory_bytes: int) -> None:
    """Forbid files, processes, core dumps, and more address space than `memory_bytes`.

    A platform that lacks one of these limits (macOS has no address-space limit) keeps the rest:
    the wall clock that the parent holds is the limit that always works.
    """
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 16,
        resource.RLIMIT_NPROC: 0,
    }
    for kind, value in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def arm_cpu_limit(seconds: float) -> None:
    """Let the process be killed (SIGXCPU) once it has used that much more CPU time."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    # Whole seconds, counted from the process's start, so round up.
    soft = int(time.process_time() + seconds) + 1
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


@contextlib.contextmanager
def one_processor() -> Iterator[None]:
    """Let libraries that are used for the first time in here see a single processor.

    They keep the number and so start no threads later, which the filter would refuse them.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def deny_syscalls() -> bool:
    """Install the filter for good; say whether this platform and kernel took it.

    For a process with one thread that has imported all it will need: it cannot open files.
    """
    known = _SYSCALLS.get(platform.machine())
    if sys.platform != "linux" or known is None:
        return False
    program = _filter(*known)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program)) == 0)


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def _filter(architecture: int, allowed: tuple[int, ...]) -> _Program:
    count = len(allowed)
    steps = [
        (_LOAD, 0, 0, _OFFSET_ARCH),
        (_JUMP_EQUAL, 0, count + 1, architecture),  # a foreign ABI: on to the refusal
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        *((_JUMP_EQUAL, count - at, 0, number) for at, number in enumerate(allowed)),
        (_RETURN, 0, 0, _FAIL_EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return _Program(len(steps), (_Instruction * len(steps))(*(_Instruction(*s) for s in steps)))
