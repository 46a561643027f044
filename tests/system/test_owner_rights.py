"""Root reads what the service owns: a link to a file of root's gives nothing. Needs root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.audit.key import PUBLIC_FILE
from device.cli.doctor.keys import of_device
from device.cli.main import main
from device.config.model import DeviceConfig
from device.edges.host.owner_rights import rights_of

pytestmark = pytest.mark.system
NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of another user, to which everybody may come; beside it a file of root's alone."""
    if os.geteuid() != 0:
        pytest.skip("root alone could read more than the owner")
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


def test_doctor_and_audit_verify_read_no_file_of_roots_through_a_link(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / PUBLIC_FILE).symlink_to(folder.parent / "secret")
    (folder / "device.key").write_text("")
    os.chown(folder / "device.key", NOBODY, NOBODY)
    (folder / "audit").mkdir()
    os.chown(folder / "audit", NOBODY, NOBODY)
    (key, *_) = of_device(DeviceConfig.model_construct(state_dir=folder, run_dir=folder))
    assert key.level == "fail"
    assert "abab" not in key.text
    assert main(["audit", "verify", str(folder / "audit")]) != 0
    shown = capsys.readouterr()
    assert "abab" not in shown.out + shown.err
