"""Folders of fetched and prepared files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.errors import CacheUnwritable

CACHE_VARIABLE = "LFR_CACHE"
MODELS = "models"
INSTALLED = Path("/var/cache/lfr")
"""The service's own cache, on a device that was installed as systemd/README.md says."""


def cache_dir() -> Path:
    """Root of everything fetched or made.

    $LFR_CACHE, else `.cache` of the checkout, else the installed device's, else `~/.cache/lfr`.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    root = Path(__file__).resolve().parent.parent
    if (root / "pyproject.toml").is_file():
        return root / ".cache"
    if INSTALLED.is_dir():
        return INSTALLED
    return Path.home() / ".cache" / "lfr"


def models_dir() -> Path:
    """Prepared ONNX files and their manifest: those that this program's release brought, else the cache's.

    A release in a slot of its own may bring models (`lfr flash release`), so that program and models change together.
    Where custom models were added to the cache, all models are the cache's.
    """
    brought = Path(sys.prefix).resolve() / MODELS
    if (brought / "manifest.json").is_file() and not any((own_models_dir() / "cards").glob("*.yaml")):
        return brought
    return own_models_dir()


def own_models_dir() -> Path:
    """The cache's models: those that were prepared or added on this machine, or came with its kit."""
    return cache_dir() / MODELS


def plans_dir() -> Path:
    """TensorRT plans built on this board, their descriptions and the timing cache."""
    return cache_dir() / "plans"


def packages_dir() -> Path:
    """Downloaded wheels and sdists, as they came."""
    return cache_dir() / "packages"


def published_dir() -> Path:
    """Files of publishers that no package carries (engines.published), a folder a model."""
    return cache_dir() / "published"


def samples_dir() -> Path:
    """Photos read from packages: local only, never committed."""
    return cache_dir() / "samples"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make `folder` if it does not exist; inside the block, an OSError becomes CacheUnwritable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as fault:
        raise CacheUnwritable(folder, fault.strerror or str(fault)) from fault


@contextmanager
def placing(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """Names beside `targets` to write to. When the block ends well they are renamed in this order; a block that
    fails (a full disk, for example) leaves the targets unchanged and nothing beside them. The names end in a number,
    so that a search for *.yaml or *.json does not find one that a killed process left.
    """
    staged = tuple(target.with_name(f".{target.name}.{os.getpid()}") for target in targets)
    try:
        yield staged
        for one, target in zip(staged, targets, strict=True):
            one.replace(target)
    finally:
        for one in staged:
            one.unlink(missing_ok=True)
