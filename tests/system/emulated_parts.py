"""What the emulated machine is made of: a stock kernel, the modules it needs, and gpio-sim compiled for that kernel.

1. All of it comes from the distribution's packages, downloaded by apt and unpacked under the cache; nothing of it is
   installed on this machine or kept in this repository.
2. Debian's kernels leave gpio-sim out. It is compiled from Debian's own kernel source against Debian's own headers,
   with one line changed: irq_to_desc() is not given to modules, the same descriptor has another way to it.
3. It is made once for a release and a recipe; later runs need no network. An interrupted making leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.places import cache_dir
from tools.dev.gate.system_packages import Program, SetupFailed, download, provide, say

SOURCES = {"bookworm": "linux-source-6.1"}  # a release is added once it was seen to work
COMPILER = {"bookworm": Program("gcc-12", "gcc-12")}
TAKEN = ("drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c")
MODULES = "virtio_pci 9p 9pnet_virtio overlay configfs gpio-sim vivid softdog i6300esb virtio_blk crc32c_generic ext4"
CHANGES = (
    ("irq_to_desc(irqnum)", "irq_data_to_desc(irq_get_irq_data(irqnum))"),
    ("#include <linux/irq.h>", "#include <linux/irq.h>\n#include <linux/irqdesc.h>"),
)
MAKEFILE = "obj-m := gpio-sim.o\ngpio-sim-y := gpio-sim-core.o irq_sim.o\n"


@dataclass(frozen=True, slots=True)
class Parts:
    """modules: in the order in which they can be loaded."""

    kernel: Path
    busybox: Path
    modules: tuple[Path, ...]


def cannot() -> str:
    """Why the parts cannot be made on this machine; empty when they can."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if platform.machine() != "x86_64":
        return f"needs an x86-64 machine: the emulated one is of that kind, this one is {platform.machine()}"
    if release not in SOURCES:
        return f"needs Debian {' or '.join(SOURCES)}: gpio-sim is compiled from its kernel source, this is {release!r}"
    return ""


def parts() -> Parts:
    """The parts, made if they are not there (rule 3). Raises SetupFailed with what to do."""
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    recipe = repr((SOURCES[release], COMPILER[release], TAKEN, MODULES, CHANGES, MAKEFILE))
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    place = cache_dir() / "system-test" / f"kernel-{release}-{digest}"
    if not place.is_dir():
        half = place.with_name(f"{place.name}.new")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        _make(half, release)
        half.rename(place)
    order = (place / "order").read_text().split()
    return Parts(place / "vmlinuz", place / "busybox", tuple(place / name for name in order))


def _make(place: Path, release: str) -> None:
    """Download, compile, and keep only what a boot needs."""
    work = place / "work"
    work.mkdir()
    compiler = provide(COMPILER[release], cache_dir())
    version = _kernel_version()
    common = re.sub(r"-amd64$", "-common", version)
    kbuild = SOURCES[release].replace("source", "kbuild")
    names = [f"linux-image-{version}", f"linux-headers-{version}", f"linux-headers-{common}"]
    say(f"downloading Debian's kernel {version} and its source (220 MB, once)")
    debs = download([*names, kbuild, "busybox-static", SOURCES[release]], work)
    for deb in debs:
        if deb.name.startswith(SOURCES[release]):
            _take_sources(deb, work / "gpio-sim")
        else:
            _run("dpkg-deb", "-x", str(deb), str(work))
    say("compiling gpio-sim")
    headers = work / "usr" / "src"
    makefile = headers / f"linux-headers-{version}" / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{headers}/"))
    _run("make", "-C", str(makefile.parent), f"M={work / 'gpio-sim'}", f"CC={compiler}", "modules")
    found = {path.stem: path for path in (work / "lib" / "modules" / version).rglob("*.ko")}
    found["gpio-sim"] = work / "gpio-sim" / "gpio-sim.ko"
    order = list(dict.fromkeys(path for name in MODULES.split() for path in _with_what_it_needs(name, found)))
    for path in order:
        shutil.copy(path, place / path.name)
    shutil.copy(work / "boot" / f"vmlinuz-{version}", place / "vmlinuz")
    shutil.copy(work / "bin" / "busybox", place / "busybox")
    (place / "order").write_text("\n".join(path.name for path in order))
    shutil.rmtree(work)


def _kernel_version() -> str:
    """The version of the release's present kernel, as its package is named."""
    output = subprocess.run(
        ["apt-cache", "depends", "--important", "linux-image-amd64"], capture_output=True, text=True, check=False
    )
    found = re.search(r"Depends: linux-image-(\S+)", output.stdout)
    if found is None:
        raise SetupFailed("apt knows no linux-image-amd64; as root: apt-get update, then make system again")
    return found.group(1)


def _take_sources(deb: Path, folder: Path) -> None:
    """Three files out of the kernel's source, two of them as one module (rule 2)."""
    say("unpacking three files of the kernel's source")
    folder.mkdir()
    name = deb.name.split("_")[0]
    inside = " ".join(f"{name}/{path}" for path in TAKEN)
    pipe = f"dpkg-deb --fsys-tarfile '{deb}' | tar -xO ./usr/src/{name}.tar.xz | tar -xJ -C '{folder}' {inside}"
    _run("sh", "-ec", pipe)
    for path in TAKEN:
        source = folder / name / path
        text = source.read_text()
        if source.name == "irq_sim.c":
            for before, after in CHANGES:
                if before not in text:
                    raise SetupFailed(f"{name}: {path} has no {before!r} any more; mend {Path(__file__).name}")
                text = text.replace(before, after)
        (folder / source.name.replace("gpio-sim.c", "gpio-sim-core.c")).write_text(text)
    (folder / "Makefile").write_text(MAKEFILE)


def _with_what_it_needs(name: str, found: dict[str, Path]) -> Iterator[Path]:
    """A module after those of its `depends=`; one that has no file is built in."""
    path = found.get(name) or found.get(name.replace("_", "-")) or found.get(name.replace("-", "_"))
    if path is None:
        return
    output = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
    for needed in output.group(1).decode().split(",") if output else []:
        yield from _with_what_it_needs(needed, found)
    yield path


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SetupFailed(f"{' '.join(command)[:200]}: status {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
