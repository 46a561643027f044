"""`make_site(**how)` gives a Site: a hub with keys, officers and devices, and python-tuf's own client to read it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NAME = "lfr_test_site_of_authority"


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., Any]:
    """Builder; pytest's importlib mode has no package to import the module from."""
    if NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(NAME, Path(__file__).parent / "site_of_authority.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = module
        spec.loader.exec_module(module)
    site: Callable[..., Any] = sys.modules[NAME].Site
    return lambda **how: site(tmp_path, **how)


@pytest.fixture
def site(make_site: Callable[..., Any]) -> Any:
    """One officer, two devices, mode test."""
    return make_site()
