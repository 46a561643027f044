"""CI only: install what of the `device` extra can be built here, so that its edges are tested against the real thing.

systemd-python  an sdist; needs a compiler and libsystemd's headers, which apt has
pycuda          an sdist; built for its tests alone by tools.dev.gate.device_apis, without a GPU's driver
"""

from __future__ import annotations

import importlib.util
import os
import sys

from tools.dev.gate.locked import pip_install, selection
from tools.dev.gate.system_packages import SetupFailed, install, say

BUILD_PACKAGES = ("gcc", "libc6-dev", "pkg-config", "libsystemd-dev")
EXIT_UNAVAILABLE = 69


def main() -> int:
    """0 when systemd-python can be imported, 69 with the reason otherwise."""
    found = importlib.util.find_spec("systemd")
    if found is not None and found.origin is not None:  # without an origin it is this repository's folder of that name
        return 0
    try:
        build()
    except SetupFailed as fault:
        say(f"systemd-python cannot be built: {fault}")
        return EXIT_UNAVAILABLE
    return 0


def build() -> None:
    """Install compiler and headers, then the sdist. Raises SetupFailed."""
    if os.geteuid() != 0:
        raise SetupFailed(f"as root: apt-get install {' '.join(BUILD_PACKAGES)}")
    own_headers = sys.base_prefix == "/usr"
    install((*BUILD_PACKAGES, "python3-dev") if own_headers else BUILD_PACKAGES)
    if pip_install(sys.executable, selection(["device-systemd", "build"]), "-q") != 0:
        raise SetupFailed("pip's message is above")


if __name__ == "__main__":
    sys.exit(main())
