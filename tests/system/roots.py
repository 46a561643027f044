"""Root file systems of Debian's packages: made once by mmdebstrap, kept under the cache.

1. They are of this machine's own release, so that its Python and its packages run in them too.
2. LFR_GUEST_RELEASE=trixie takes another release of Debian (its code name): a newer systemd, another C library. The
   program then runs there with this machine's Python and its python3-systemd, over that release's libraries.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from engines.places import cache_dir
from tools.dev.gate.system_packages import MMDEBSTRAP, download, provide, say

WANTED = "LFR_GUEST_RELEASE"
NO_TEXTS = tuple(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale"))
SYSTEM_PACKAGES = "usr/lib/python3/dist-packages"


def own_release() -> str:
    """The code name of this machine's release."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def release() -> str:
    """The code name of the release that machines are made of (rules 1 and 2)."""
    return os.environ.get(WANTED) or own_release()


def make_root(name: str, packages: str, *, of: str, architecture: str = "") -> Path:
    """The root file system `name` with these packages; made if it is not there.

    of  code name of the release
    """
    digest = hashlib.sha256(" ".join(filter(None, (of, packages, architecture))).encode()).hexdigest()[:12]
    place = cache_dir() / "system-test" / f"{name}-{digest}"
    if (place / "etc" / "os-release").exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    half = place.with_name(f"{place.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    say(f"making a root file system of {of}'s packages (200 MB, once): {name}")
    command = [str(provide(MMDEBSTRAP, cache_dir())), "--quiet", "--variant=minbase", *NO_TEXTS]
    command += [f"--architectures={architecture}"] if architecture else []
    command += [f"--include={packages}", of, str(half)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"mmdebstrap could not make a root file system: {done.stderr[-1500:]}")
    half.rename(place)
    return place


def notifier() -> Path:
    """This machine's python3-systemd, unpacked under the cache: another release's is for another Python (rule 2)."""
    place = cache_dir() / "system-test" / f"notifier-{own_release()}"
    if not place.is_dir():
        half = place.with_name(f"{place.name}.new")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        for deb in download(("python3-systemd",), half):
            subprocess.run(["dpkg-deb", "-x", str(deb), str(half)], check=True)
        half.rename(place)
    return place / SYSTEM_PACKAGES
