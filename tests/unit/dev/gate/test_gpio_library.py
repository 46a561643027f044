"""lgpio is taken from the distribution's package where the index has no wheel, and its absence stops nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.dev.gate import gpio_library
from tools.dev.gate.gpio_library import MODULES, PACKAGE, packaged, provide_gpio_library


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    (tmp_path / "venv/lib/python3.13/site-packages").mkdir(parents=True)
    return tmp_path / "venv"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The distribution's two modules, for this interpreter."""
    files = [tmp_path / name for name in ("lgpio.py", "_lgpio.cpython-313-x86_64-linux-gnu.so")]
    for file in files:
        file.write_text(file.name)
    monkeypatch.setattr(gpio_library, "packaged", lambda _: files)
    return files


def test_both_modules_of_the_package_are_copied_once(venv: Path, package: list[Path]) -> None:
    assert provide_gpio_library(venv)
    place = venv / "lib/python3.13/site-packages"
    assert {file.name: file.read_text() for file in place.iterdir()} == {f.name: f.name for f in package}
    for file in package:
        file.unlink()
    assert provide_gpio_library(venv), "what is there stays"


def test_without_the_package_setup_goes_on_and_names_it(
    venv: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpio_library, "packaged", lambda _: [])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert not provide_gpio_library(venv)
    assert f"apt-get install {PACKAGE}" in capfd.readouterr().err


@pytest.mark.parametrize("there", [(), ("lgpio",), ("_lgpio",), MODULES])
def test_a_package_counts_with_both_modules_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...]
) -> None:
    for name in there:
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.setattr(gpio_library, "WHERE", f"import sys; sys.path = [{str(tmp_path)!r}]; {gpio_library.WHERE}")
    assert len(packaged(sys.executable)) == (2 if there == MODULES else 0)
