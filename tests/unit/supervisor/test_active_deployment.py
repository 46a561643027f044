"""A deployment's authorisation: its secret, what a worker gets of it, and who may hold the run folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.config.deployment import Deployment
from device.config.document import parse
from device.config.model import DeviceConfig
from device.errors import ConfigError, Unavailable
from device.supervisor.deployment.active import ActiveDeployment
from device.supervisor.status import file as status_file

SECRET = "AGE-SECRET-KEY-1TEST"
DEPLOYMENT = f"""
    {{id: d-1, mode: demo, controller: C, owner: O, authorising_officer: A, purpose: p, legal_basis: l, place: x,
    window: {{start: 2026-11-23T09:00:00Z, end: 2026-11-23T17:00:00Z}}, devices: [cam-1],
    categories: {{missing: {{response_code: R3}}}}, max_watchlist_size: 10,
    watchlist: {{id: wl-1, sha256: {"a" * 64}, subjects: 1, images: 1}},
    hub_recipient: age1{"q" * 58}, notice: {{en: text}}}}
"""


@pytest.fixture
def active(tmp_path: Path) -> ActiveDeployment:
    """One that is authorised; nothing of it is on the disk but the sealed list."""
    deployment = parse(DEPLOYMENT, Deployment, "d-1")
    return ActiveDeployment(deployment, tmp_path / "list.payload", SECRET, erase=list)


def config(tmp_path: Path, credential: Path | None, size: tuple[int, int] | None = None) -> DeviceConfig:
    camera = {
        "id": "front",
        "source": "rtsp://camera/stream",
        "credential": credential,
        "size": size,
        "zone": {"name": "gate", "polygon": ((0, 0), (1, 0), (1, 1))},
    }
    return DeviceConfig.model_validate(
        {
            "site": "demo",
            "device": "cam-1",
            "cameras": [camera],
            "mqtt": {"host": "h", "ca": "a", "cert": "b", "key": "c"},
            "lines": {"driver": "gpiozero", "sign": "BOARD31", "sign_sense": "BOARD33", "stop": "BOARD29"},
            "trust": {"roots": tmp_path, "usb": tmp_path},
        }
    )


def test_the_secret_is_never_shown_and_drops_at_once(active: ActiveDeployment) -> None:
    assert SECRET not in repr(active)
    assert SECRET not in str(active)
    active.drop_identity()
    assert active.identity == ""


def test_only_the_sealed_list_is_on_the_disk(active: ActiveDeployment, tmp_path: Path) -> None:
    assert active.files == (tmp_path / "list.payload",)


def test_a_cameras_password_comes_from_its_file_and_goes_only_to_the_worker(
    active: ActiveDeployment, tmp_path: Path
) -> None:
    secret = tmp_path / "camera.txt"
    secret.write_text("user:pass\n")
    settings = config(tmp_path, secret)
    assignment = active.assignment(settings.cameras[0], settings, tmp_path)
    assert assignment.camera.source == "rtsp://user:pass@camera/stream"
    secret.unlink()
    with pytest.raises(ConfigError, match="credential of camera front"):
        active.assignment(settings.cameras[0], settings, tmp_path)


def test_a_configured_size_is_the_workers_whatever_its_camera_showed_in_an_earlier_run(
    active: ActiveDeployment, tmp_path: Path
) -> None:
    settings = config(tmp_path, None, size=(1920, 1080))
    for earlier in (None, (640, 360)):
        assert active.assignment(settings.cameras[0], settings, tmp_path, size=earlier).camera.size == (1920, 1080)
    settings = config(tmp_path, None)
    assert active.assignment(settings.cameras[0], settings, tmp_path, size=(640, 360)).camera.size == (640, 360)


@pytest.mark.parametrize("size", [(1920,), (0, 1080), (1920, 1080.5), ("1920", "1080")])
def test_a_size_that_is_none_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"cameras\.0\.size"):
        config(tmp_path, None, size=size)


def test_only_one_supervisor_holds_a_run_folder(tmp_path: Path) -> None:
    with status_file.InstanceLock(tmp_path / "run"):
        with pytest.raises(Unavailable, match="already runs"), status_file.InstanceLock(tmp_path / "run"):
            pass
        status_file.write(tmp_path / "run", {"state": "ready"})
    assert list((tmp_path / "run").iterdir()) == []
    with status_file.InstanceLock(tmp_path / "run"):
        pass


def test_a_run_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be used"), status_file.InstanceLock(tmp_path / "file" / "run"):
        pass
