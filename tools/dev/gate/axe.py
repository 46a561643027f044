"""axe-core, the accessibility checker that the browser tests run on the hub's page: one file of a package, by hash."""

from __future__ import annotations

from pathlib import Path

from engines.cards.model_card import PackageSource
from engines.prepare.fetch import fetch_member

AXE = PackageSource(
    package="axe-playwright-python",
    version="0.1.8",
    kind="wheel",
    archive_sha256="fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8",
    member="axe_playwright_python/axe.min.js",
    member_sha256="84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc",
)
"""axe-core 4.12.1 (MPL 2.0), which this wheel carries; nothing else of the package is used or installed."""


def axe_script() -> Path:
    """The script; fetched when it is not there. Raises what fetch_member raises."""
    return fetch_member(AXE)
