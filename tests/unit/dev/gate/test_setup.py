"""Setting up does what is missing, once, and names the remedy when it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.dev.gate import setup, system_packages
from tools.dev.gate.system_packages import Program, SetupFailed, find, provide, write_starter

BROKER = Program("a-broker-that-nobody-has", "a-broker")


def executable(path: Path, text: str = "#!/bin/sh\necho started with $LD_LIBRARY_PATH\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def lfr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the command `lfr` that counts its calls and makes one model."""
    calls = tmp_path / "calls"
    script = '#!/bin/sh\necho "$@" >> "%s"\nmkdir -p "$LFR_CACHE/models"\necho weights > "$LFR_CACHE/models/m.onnx"\n'
    monkeypatch.setattr(setup, "LFR", executable(tmp_path / "lfr", script % calls))
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "cards.py").write_text("A = 1\n")
    return calls


def test_models_are_made_once(lfr: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    setup.models(cache)
    assert lfr.read_text().split("\n") == ["engines fetch", "engines prepare", ""]
    setup.models(cache)
    assert len(lfr.read_text().splitlines()) == 2


@pytest.mark.parametrize("damage", ["model gone", "model shortened", "source changed"])
def test_models_are_made_again_when_something_changed(lfr: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    setup.models(cache)
    model = cache / "models" / "m.onnx"
    if damage == "model gone":
        model.unlink()
    elif damage == "model shortened":
        model.write_text("w")
    else:
        (tmp_path / "engines" / "cards.py").write_text("A = 2\n")
    setup.models(cache)
    assert len(lfr.read_text().splitlines()) == 4


def test_a_file_that_a_later_program_adds_beside_the_models_changes_nothing(lfr: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    setup.models(cache)
    (cache / "models" / "compiled.blob").write_text("x")
    setup.models(cache)
    assert len(lfr.read_text().splitlines()) == 2


def test_a_failing_command_names_itself_and_leaves_no_stamp(lfr: Path, tmp_path: Path) -> None:
    executable(tmp_path / "lfr", "#!/bin/sh\nexit 69\n")
    with pytest.raises(SetupFailed, match="lfr engines fetch"):
        setup.models(tmp_path)
    assert not (tmp_path / "models.json").exists()


def test_a_program_unpacked_under_the_cache_is_found_and_starts_with_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "with a space" / "system"
    executable(root / "usr" / "sbin" / BROKER.command)
    libraries = root / "usr" / "lib" / "x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    write_starter(BROKER, root)
    found = find(BROKER, root.parent)
    assert found is not None
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    output = subprocess.run([found], capture_output=True, text=True, check=True).stdout
    assert output.strip() == f"started with {libraries}"


def test_a_program_on_the_path_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = executable(tmp_path / "bin" / BROKER.command)
    monkeypatch.setenv("PATH", str(there.parent), prepend=os.pathsep)
    assert provide(BROKER, tmp_path / "cache") == there


def test_no_broker_and_no_apt_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_a, **_k: None)
    with pytest.raises(SetupFailed, match="install it and run"):
        provide(BROKER, tmp_path)


def test_without_root_a_package_that_cannot_be_downloaded_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = executable(tmp_path / "bin" / "apt-get", "#!/bin/sh\nexit 100\n")
    monkeypatch.setenv("PATH", str(apt.parent), prepend=os.pathsep)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupFailed, match="or as root: apt-get install a-broker"):
        provide(BROKER, tmp_path / "cache")


def test_services_are_refused_while_a_package_is_installed_and_the_policy_goes_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(system_packages, "POLICY", policy)
    with system_packages.no_service_starts():
        assert subprocess.run([policy], check=False).returncode == 101
    assert not policy.exists()


def test_a_policy_of_the_host_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = executable(tmp_path / "policy-rc.d", "#!/bin/sh\nexit 0\n")
    monkeypatch.setattr(system_packages, "POLICY", policy)
    with system_packages.no_service_starts():
        pass
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"
