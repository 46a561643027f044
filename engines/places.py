"""Where fetched and prepared files lie. Nothing here creates a folder; whoever writes does."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "LFR_CACHE"


def cache_dir() -> Path:
    """Root of everything fetched or made: $LFR_CACHE, else `.cache` of the checkout, else `~/.cache/lfr`."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    root = Path(__file__).resolve().parent.parent
    if (root / "pyproject.toml").is_file():
        return root / ".cache"
    return Path.home() / ".cache" / "lfr"


def models_dir() -> Path:
    """Prepared ONNX files and their manifest."""
    return cache_dir() / "models"


def packages_dir() -> Path:
    """Downloaded wheels and sdists, as they came."""
    return cache_dir() / "packages"


def samples_dir() -> Path:
    """Photos read from packages: local only, never committed."""
    return cache_dir() / "samples"
