"""A whole machine in QEMU, with its own kernel: for devices that a container shares with its host, such as GPIO chips.

1. Its root is the root file system of `guest.py`, read-only below a layer in memory. The program, its packages and its
   Python are shared in at the paths that they have on the host, read-only; one folder can be written.
2. It boots into a first process of ours that mounts, loads gpio-sim, runs one command and switches off: no systemd, no
   network but its own loopback. A boot takes seconds, though every instruction is translated.
3. No KVM: a nested one that only seems to work hangs in early boot, and QEMU cannot tell beforehand.
4. A boot that is not over in time is killed; what it has printed by then is the error.
"""

from __future__ import annotations

import shlex
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engines.places import cache_dir
from tools.dev.gate.system_packages import QEMU, provide

ROOT = Path(__file__).resolve().parents[2]
BOOT_MOST_S = 1800.0  # 100 s of processor time, on two cores that others use as well
PROCESSORS, MEMORY_MB = 2, 2048
NEWC = "070701"  # the format of an initial RAM file system: kernel, Documentation/driver-api/early-userspace
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
trap 'poweroff -f' EXIT
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs devtmpfs /dev || exit
for module in {modules}; do insmod /modules/$module || echo "not loaded: $module"; done
mount -t 9p -o {unchanging} root /below && mount -t tmpfs tmpfs /above && mkdir /above/upper /above/work || exit
mount -t overlay -o lowerdir=/below,upperdir=/above/upper,workdir=/above/work overlay /whole || exit
for folder in proc sys dev; do mount -o bind /$folder /whole/$folder; done
mount -t configfs configfs /whole/sys/kernel/config
mount -t tmpfs tmpfs /whole/tmp && mount -t tmpfs tmpfs /whole/run
{shares}
ifconfig lo 127.0.0.1 up
{first}
"""
RUN = "chroot /whole /bin/sh {scratch}/inside.sh >/whole{scratch}/output 2>&1\necho $? >/whole{scratch}/status"
SHARE = "mkdir -p /whole{place} && mount -t 9p -o {options} {tag} /whole{place} || exit"
CHANGING = "trans=virtio,version=9p2000.L,msize=262144,access=any"
UNCHANGING = f"{CHANGING},ro,cache=loose"
COMMAND_LINE = "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on no_timer_check"
"""no_timer_check: on a busy host the timer ticks late, and the kernel would panic (IO-APIC + timer does not work)."""
FOLDERS = ("bin", "proc", "sys", "dev", "modules", "below", "above", "whole")


class Emulated:
    """One boot of the machine: `run` runs a command in it, as root, and gives its status."""

    def __init__(self, parts: Any, root: Path, scratch: Path) -> None:
        """parts, root: of emulated_parts and guest; scratch: the folder that the machine may write into."""
        self._parts = parts
        self._root = root
        self.scratch = scratch

    def run(self, command: Sequence[str], environment: dict[str, str], within_s: float = BOOT_MOST_S) -> int:
        """Boot, run, switch off; the command's exit status. RuntimeError with its output if there is none."""
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
        (self.scratch / "inside.sh").write_text(f"{exports}cd {shlex.quote(str(ROOT))}\nexec {shlex.join(command)}\n")
        try:
            done = subprocess.run(
                self.prepared(RUN.format(scratch=self.scratch)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=within_s,
                check=False,
            )
            console = done.stdout + done.stderr
        except subprocess.TimeoutExpired as late:
            console = (late.stdout or b"") + f"\nnot over within {within_s:.0f} s".encode()
        status = self.scratch / "status"
        if not status.exists():
            raise RuntimeError(
                f"the emulated machine: {console.decode(errors='replace')[-1500:]}\n{self.output()[-3000:]}"
            )
        return int(status.read_text())

    def prepared(self, first: str) -> list[str]:
        """QEMU's command line; the initial files lie in scratch. first: shell lines at the end of the boot."""
        places = self._places()
        (self.scratch / "initrd").write_bytes(b"".join(self._initial_files(places, first)))
        return self._qemu(places)

    def output(self) -> str:
        """What the command has printed."""
        output = self.scratch / "output"
        return output.read_text(errors="replace") if output.exists() else ""

    def _places(self) -> list[Path]:
        """Folders that are shared in at their own path (rule 1), none of them inside another one; scratch is last."""
        wanted = [ROOT, Path(sys.prefix), Path(sysconfig.get_paths()["purelib"]), cache_dir()]
        if sys.base_prefix != "/usr":
            wanted.append(Path(sys.base_prefix))
        real = list(dict.fromkeys(place.resolve() for place in wanted if place.exists()))
        return [p for p in real if not any(other in p.parents for other in real)] + [self.scratch]

    def _qemu(self, places: Sequence[Path]) -> list[str]:
        shared = [("root", self._root, True)]
        shared += [(f"t{n}", place, place != self.scratch) for n, place in enumerate(places)]
        command = [str(provide(QEMU, cache_dir())), "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"]
        command += ["-smp", str(PROCESSORS), "-m", str(MEMORY_MB), "-nodefaults", "-display", "none", "-nic", "none"]
        command += ["-serial", "stdio", "-no-reboot", "-kernel", str(self._parts.kernel)]
        command += ["-initrd", str(self.scratch / "initrd"), "-append", COMMAND_LINE]
        for tag, place, unchanging in shared:
            ro = ",readonly=on" if unchanging else ""
            command += ["-virtfs", f"local,path={place},mount_tag={tag},security_model=none,multidevs=remap{ro}"]
        return command

    def _initial_files(self, places: Sequence[Path], first: str) -> Iterator[bytes]:
        """The first process and what it needs, as the kernel unpacks it."""
        mounts = [
            SHARE.format(place=place, tag=f"t{n}", options=CHANGING if place == self.scratch else UNCHANGING)
            for n, place in enumerate(places)
        ]
        names = " ".join(path.name for path in self._parts.modules)
        init = INIT.format(modules=names, shares="\n".join(mounts), first=first, unchanging=UNCHANGING)
        for folder in FOLDERS:
            yield _entry(folder, stat.S_IFDIR | 0o755, b"")
        yield _entry("bin/busybox", stat.S_IFREG | 0o755, self._parts.busybox.read_bytes())
        for path in self._parts.modules:
            yield _entry(f"modules/{path.name}", stat.S_IFREG | 0o644, path.read_bytes())
        yield _entry("init", stat.S_IFREG | 0o755, init.encode())
        yield _entry("TRAILER!!!", 0, b"")


def _entry(name: str, mode: int, content: bytes) -> bytes:
    """One file of a newc archive: a header of 13 numbers in hexadecimal, name and content filled up to 4 bytes."""
    named = name.encode() + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(named), 0)
    head = (NEWC + "".join(f"{number:08x}" for number in numbers)).encode() + named
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
