"""System calls that a vision worker does not need, by number, and why each is refused.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h (aarch64) of Linux; from 424 on
both are the same. None: the architecture never had it.
"""

from __future__ import annotations

from dataclasses import dataclass

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h
SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}


@dataclass(frozen=True, slots=True)
class Call:
    """One system call."""

    name: str
    x86_64: int | None
    aarch64: int | None

    def number(self, machine: str) -> int | None:
        return self.x86_64 if machine == "x86_64" else self.aarch64


def _both(name: str, number: int) -> Call:
    return Call(name, number, number)


OPEN, OPENAT = Call("open", 2, None), Call("openat", 257, 56)
CLONE, SOCKET = Call("clone", 56, 220), Call("socket", 41, 198)
CONNECT = Call("connect", 42, 203)
PRCTL, PRLIMIT = Call("prctl", 157, 167), Call("prlimit64", 302, 261)

REFUSED: dict[str, tuple[Call, ...]] = {
    "no other program, no copy of this one": (
        Call("execve", 59, 221),
        Call("execveat", 322, 281),
        Call("fork", 57, None),
        Call("vfork", 58, None),
    ),
    "no other process's memory, and no descriptors out of it": (
        Call("ptrace", 101, 117),
        Call("process_vm_readv", 310, 270),
        Call("process_vm_writev", 311, 271),
        Call("kcmp", 312, 272),
        _both("pidfd_open", 434),
        _both("pidfd_getfd", 438),
        _both("process_madvise", 440),
    ),
    "no file that is memory, no memory that outlives the process": (
        Call("memfd_create", 319, 279),
        _both("memfd_secret", 447),
        Call("shmget", 29, 194),
        Call("shmat", 30, 196),
        Call("msgget", 68, 186),
        Call("msgsnd", 69, 189),
        Call("semget", 64, 190),
        Call("mq_open", 240, 180),
        Call("add_key", 248, 217),
        Call("request_key", 249, 218),
        Call("keyctl", 250, 219),
    ),
    "nothing made, renamed, removed or resized in any file system": (
        Call("creat", 85, None),
        Call("mknod", 133, None),
        Call("mknodat", 259, 33),
        Call("mkdir", 83, None),
        Call("mkdirat", 258, 34),
        Call("link", 86, None),
        Call("linkat", 265, 37),
        Call("symlink", 88, None),
        Call("symlinkat", 266, 36),
        Call("rename", 82, None),
        Call("renameat", 264, 38),
        Call("renameat2", 316, 276),
        Call("unlink", 87, None),
        Call("unlinkat", 263, 35),
        Call("rmdir", 84, None),
        Call("truncate", 76, 45),
        Call("ftruncate", 77, 46),
        Call("fallocate", 285, 47),
    ),
    "no bytes in extended attributes: neither the size limit nor Landlock covers them": (
        Call("setxattr", 188, 5),
        Call("lsetxattr", 189, 6),
        Call("fsetxattr", 190, 7),
        _both("setxattrat", 463),
    ),
    "no bytes between descriptors past write(2), and no file by handle": (
        Call("sendfile", 40, 71),
        Call("splice", 275, 76),
        Call("tee", 276, 77),
        Call("vmsplice", 278, 75),
        Call("copy_file_range", 326, 285),
        Call("open_by_handle_at", 304, 265),
    ),
    "no queue of calls that no filter sees": (
        _both("io_uring_setup", 425),
        _both("io_uring_enter", 426),
        _both("io_uring_register", 427),
    ),
    "no other view of the file system": (
        Call("mount", 165, 40),
        Call("umount2", 166, 39),
        Call("pivot_root", 155, 41),
        Call("chroot", 161, 51),
        Call("unshare", 272, 97),
        Call("setns", 308, 268),
        _both("open_tree", 428),
        _both("move_mount", 429),
        _both("fsopen", 430),
        _both("fsconfig", 431),
        _both("fsmount", 432),
        _both("fspick", 433),
        _both("mount_setattr", 442),
    ),
    "no kernel code, tracing, accounting or swap": (
        Call("bpf", 321, 280),
        Call("perf_event_open", 298, 241),
        Call("userfaultfd", 323, 282),
        Call("init_module", 175, 105),
        Call("finit_module", 313, 273),
        Call("kexec_load", 246, 104),
        Call("kexec_file_load", 320, 294),
        Call("acct", 163, 89),
        Call("swapon", 167, 224),
    ),
    "locked memory stays locked, limits stay": (
        Call("munlock", 150, 229),
        Call("munlockall", 152, 231),
        Call("setrlimit", 160, 164),
    ),
    "no server, no second line": (
        Call("socketpair", 53, 199),
        Call("bind", 49, 200),
        Call("listen", 50, 201),
        Call("accept", 43, 202),
        Call("accept4", 288, 242),
    ),
}
UNKNOWN: tuple[Call, ...] = (_both("clone3", 435), _both("openat2", 437))
"""Their flags lie behind a pointer, which no filter can follow: ENOSYS, and libraries take the older call."""
