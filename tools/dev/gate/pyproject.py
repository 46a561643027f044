"""pyproject.toml, read."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def read_pyproject(path: Path = ROOT / "pyproject.toml") -> dict[str, Any]:
    """Its tables. Python 3.10 has no reader of TOML; there tomli serves, which is the same."""
    reader = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    document: dict[str, Any] = reader.loads(path.read_text(encoding="utf-8"))
    return document
