"""lgpio is built where the index has no wheel of it, and its absence stops nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tools.dev.gate import gpio_library
from tools.dev.gate.gpio_library import STATIC, packages, provide_gpio_library, source
from tools.dev.gate.locked import locked


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "venv/lib/python3.13/site-packages").mkdir(parents=True)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    return tmp_path / "venv"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Requirements that pip was asked for, with the variables of the build."""
    asked: list[tuple[str, Any]] = []

    def pip(_python: Path, requirements: str, *_options: str, environment: Any = None) -> int:
        asked.append((requirements, environment))
        return 0

    monkeypatch.setattr(gpio_library, "pip_install", pip)
    return asked


def test_it_is_built_from_the_locked_source_once(
    venv: Path, installed: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpio_library, "packages", lambda _: ())
    assert provide_gpio_library(venv)
    assert installed[-1] == (source(), STATIC)
    (venv / "lib/python3.13/site-packages/lgpio.py").write_text("")
    assert provide_gpio_library(venv)
    assert len(installed) == 2, "setuptools and lgpio, once"


def test_without_a_compiler_setup_goes_on_and_names_the_packages(
    venv: Path,
    installed: list[tuple[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(gpio_library, "packages", lambda _: ("gcc", "swig"))
    assert not provide_gpio_library(venv)
    assert "apt-get install gcc swig" in capfd.readouterr().err
    assert installed == []


def test_what_is_missing_for_the_build_is_named_for_the_environments_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert {"gcc", "swig"} <= set(packages(Path(sys.executable)))


def test_the_requirement_is_the_locked_one_for_every_python() -> None:
    (entry,) = (one for one in locked() if one.name == "lgpio")
    assert source().startswith(f"lgpio=={entry.version} --hash=sha256:")
    assert ";" not in source()
    assert source().count("--hash=") == len(entry.sha256)
