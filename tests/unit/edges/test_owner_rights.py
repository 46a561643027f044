"""Root reads what the service owns: a link to a file of root's gives nothing, a FIFO does not hold it up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.audit.key import PUBLIC_FILE
from device.cli.doctor.health import of_engine
from device.cli.doctor.keys import of_device
from device.cli.main import main
from device.config.model import DeviceConfig
from device.edges.host.owner_rights import read_regular, rights_of

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone could read more than the owner")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of another user, to which everybody may come; beside it a file of root's alone."""
    ways = [one for one in tmp_path.parents if one.owner() == "root" and one.is_relative_to("/tmp")]
    modes = {one: one.stat().st_mode for one in (*ways, tmp_path)}
    for one in modes:
        one.chmod(0o755)
    (tmp_path / "secret").write_text("ab" * 32)
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "own").mkdir()
    os.chown(tmp_path / "own", NOBODY, NOBODY)
    yield tmp_path / "own"
    for one, mode in modes.items():
        one.chmod(mode)


@as_root
def test_inside_root_has_the_owners_rights_alone_and_has_its_own_again_behind(folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "plain").write_text("text")
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with rights_of(folder):
        with pytest.raises(PermissionError):
            (folder / "link").read_text()
        assert (folder / "plain").read_text() == "text"
        (folder / "made").write_text("")
    assert (folder / "made").stat().st_uid == NOBODY
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    assert (folder / "link").read_text() == "ab" * 32


def test_a_link_a_fifo_and_a_folder_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("text")
    (tmp_path / "link").symlink_to("plain")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert read_regular(tmp_path / "plain") == b"text"
    for name in ("link", "fifo", "folder"):
        with pytest.raises(OSError, match=r"link|regular|directory"):
            read_regular(tmp_path / name)


@pytest.mark.parametrize("noun", ["status", "why"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_status_that_is_no_file_is_not_read(
    tmp_path: Path, noun: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "status.json"
    if kind == "fifo":
        os.mkfifo(place)
    else:
        (tmp_path / "other").write_text('{"state": "planted"}')
        place.symlink_to("other")
    assert main([noun, "--run-dir", str(tmp_path)]) == 69
    shown = capsys.readouterr()
    assert "cannot be read" in shown.err
    assert "planted" not in shown.out + shown.err


def config(folder: Path) -> DeviceConfig:
    return DeviceConfig.model_construct(state_dir=folder, run_dir=folder)


def test_doctor_does_not_follow_a_link_for_the_status(tmp_path: Path) -> None:
    stages = '{"stages": {"planted": {"p95_start_ms": 1.0, "p95_ms": 9.0, "slower": true}}}'
    (tmp_path / "other").write_text(stages)
    (tmp_path / "status.json").symlink_to("other")
    assert "planted" not in "".join(one.text for one in of_engine(config(tmp_path)))


@as_root
def test_doctor_and_audit_verify_read_no_file_of_roots_through_a_link(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / PUBLIC_FILE).symlink_to(folder.parent / "secret")
    (folder / "device.key").write_text("")
    os.chown(folder / "device.key", NOBODY, NOBODY)
    (folder / "audit").mkdir()
    os.chown(folder / "audit", NOBODY, NOBODY)
    (key, *_) = of_device(config(folder))
    assert key.level == "fail"
    assert "abab" not in key.text
    assert main(["audit", "verify", str(folder / "audit")]) != 0
    shown = capsys.readouterr()
    assert "abab" not in shown.out + shown.err
