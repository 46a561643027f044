"""An arm64 root file system, flashed on this machine and booted under qemu-user: READY=1 and the CPU engine.

The emulator is not a board. What it lacks is taken away here and nowhere else: qemu-user 7.2 answers no netlink request
that sets up a network namespace (EIO), so PrivateNetwork of first boot and of the plans is off; it has threads of its
own, so that no user namespace can be unshared (EINVAL, seen with busybox), and PrivateUsers is off; it shows this
machine's /proc/cpuinfo, in which onnxruntime's cpuinfo library finds no ARM core and ends by SIGSEGV, so a file in the
shape of an Orin's (Cortex-A78AE, part 0xd42) is bound over it. Everything else is the device as it ships.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.system import guest
from tests.system.flashed import Booted, bare_root, packages_for
from tests.system.test_flash import SELF_TEST, SERIAL, lfr, make_van
from tools.dev.gate.system_packages import install

pytestmark = pytest.mark.system
BINFMT = Path("/proc/sys/fs/binfmt_misc")
RULE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
NO_NETWORK = "PrivateNetwork=no\nRestrictAddressFamilies=\n"
LACKING = {
    "lfr-first-boot": NO_NETWORK,
    "lfr-engines": NO_NETWORK,
    "lfr": "PrivateUsers=no\n",
    "lfr-selftest": "PrivateUsers=no\n",
}
"""What each unit does without here."""
CORE = """processor\t: {number}
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd42
CPU revision\t: 1

"""


@pytest.fixture(scope="module")
def emulation() -> None:
    """aarch64 programs run here; the kernel's rule is taken back by nobody, as with Debian's own package."""
    if reason := guest.cannot():
        pytest.skip(reason)
    install(("qemu-user-static", "arch-test"))
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
    if not (BINFMT / "qemu-aarch64").exists():
        (BINFMT / "register").write_text(RULE.read_text().strip())


def test_an_arm64_root_is_flashed_here_and_gets_ready_under_emulation(
    emulation: None, tmp_path_factory: pytest.TempPathFactory, models_ready: Path, clip: Path
) -> None:
    scratch = tmp_path_factory.mktemp("arm64")
    bare = bare_root("arm64")
    van = make_van(scratch, clip, bare, machine="aarch64", packages=packages_for(bare, scratch / "packages", "arm64"))
    root = scratch / f"root-{time.monotonic_ns()}"
    subprocess.run(["cp", "-a", str(bare), str(root)], check=True)
    lfr("flash", "apply", *van.options(root))
    table = json.loads(lfr("flash", "verify", *van.options(root), "--json"))
    assert table["ok"]
    assert {row["what"] for row in table["rows"] if row["level"] == "pending"} == {"imports", "key", "certificate"}
    for unit, lacking in LACKING.items():
        emulated = root / f"etc/systemd/system/{unit}.service.d/emulated.conf"
        emulated.parent.mkdir(exist_ok=True)
        emulated.write_text(f"[Service]\n{lacking}TimeoutStartSec=1800\n")
    (root / "var/tmp/cpuinfo").write_text("".join(CORE.format(number=number) for number in range(2)))
    board = Booted(root, van.kit, scratch)
    try:
        board.until_active("lfr-first-boot.service", 1200.0)
        board.run("lfr", "flash", "request", "/media/kit", check=True)
        lfr("hub", "sign", van.hub, van.kit)
        board.run("lfr", "flash", "certify", "/media/kit", check=True, within_s=120)
        board.until_active("lfr.service", 120.0)
        board.until_shown("lfr.service", "StatusText", "ready")
        assert board.run("uname", "-m") == "aarch64"
        board.run("mount", "--bind", "/var/tmp/cpuinfo", "/proc/cpuinfo", check=True)
        assert board.run(*SELF_TEST, "onnxruntime", check=True, within_s=500) == "agrees"
    finally:
        board.close()
    assert SERIAL in (root / "etc/lfr/flash.json").read_text()
    shutil.rmtree(root)
