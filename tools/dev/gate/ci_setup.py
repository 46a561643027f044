"""CI only: dependencies beyond `make setup` that no test may miss there: systemd-python, built, and a browser."""

from __future__ import annotations

import sys

from engines.places import cache_dir
from tools.dev.gate import device_extra
from tools.dev.gate.system_packages import CHROMIUM, SetupFailed, provide, say

EXIT_UNAVAILABLE = 69


def main() -> int:
    """0 when all is there, 69 with what is missing."""
    try:
        provide(CHROMIUM, cache_dir())
    except SetupFailed as fault:
        say(f"no browser: {fault}")
        return EXIT_UNAVAILABLE
    return device_extra.main()


if __name__ == "__main__":
    sys.exit(main())
