"""Loading and dropping a deployment on the device; who may hold the run folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.config.model import DeviceConfig
from device.errors import ConfigError, RefusedByCondition, Unavailable
from device.supervisor import status_file
from device.supervisor.authorisation import Authorisation, load_authorisation

SECRET = "AGE-SECRET-KEY-1TEST"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete deployment."""
    made = tmp_path / "deployment"
    made.mkdir()
    (made / "deployment.yaml").write_text(
        f"""
        {{id: d-1, mode: demo, controller: C, owner: O, authorising_officer: A, purpose: p, legal_basis: l, place: x,
        window: {{start: 2026-11-23T09:00:00Z, end: 2026-11-23T17:00:00Z}}, devices: [cam-1],
        categories: {{missing: {{response_code: R3}}}}, max_watchlist_size: 10,
        watchlist: {{id: wl-1, sha256: {"a" * 64}, subjects: 1, images: 1}},
        hub_recipient: age1{"q" * 58}, notice: {{en: text}}}}
        """
    )
    (made / "watchlist.age").write_bytes(b"sealed")
    (made / "identity.txt").write_text(f"# created\n# public key: age1…\n{SECRET}\n")
    return made


def config(tmp_path: Path, credential: Path | None) -> DeviceConfig:
    camera = {
        "id": "front",
        "source": "rtsp://camera/stream",
        "credential": credential,
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


def test_the_secret_is_read_and_never_shown(folder: Path) -> None:
    authorisation = load_authorisation(folder)
    assert authorisation.identity == SECRET
    assert SECRET not in repr(authorisation)
    assert SECRET not in str(authorisation)


@pytest.mark.parametrize("name", ["watchlist.age", "identity.txt"])
def test_an_incomplete_deployment_is_refused_with_what_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RefusedByCondition, match=name.replace(".", r"\.")):
        load_authorisation(folder)


@pytest.mark.parametrize("text", ["", "# only a comment\n", f"{SECRET}\n{SECRET}\n"])
def test_an_identity_file_holds_exactly_one_secret(folder: Path, text: str) -> None:
    (folder / "identity.txt").write_text(text)
    with pytest.raises(RefusedByCondition, match="exactly one") as caught:
        load_authorisation(folder)
    assert SECRET not in str(caught.value)


def test_no_deployment_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedByCondition, match=r"no deployment\.yaml"):
        load_authorisation(tmp_path)


def test_dropping_deletes_key_and_list_and_says_which(folder: Path) -> None:
    authorisation = load_authorisation(folder)
    authorisation.drop_identity()
    assert authorisation.identity == ""
    assert authorisation.erase() == ["identity.txt", "watchlist.age"]
    assert sorted(file.name for file in folder.iterdir()) == ["deployment.yaml"]
    assert authorisation.erase() == []


def test_a_cameras_password_comes_from_its_file_and_goes_only_to_the_worker(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "camera.txt"
    secret.write_text("user:pass\n")
    settings = config(tmp_path, secret)
    authorisation = load_authorisation(folder)
    assignment = authorisation.assignment(settings.cameras[0], settings, tmp_path)
    assert assignment.camera.source == "rtsp://user:pass@camera/stream"
    secret.unlink()
    with pytest.raises(ConfigError, match="credential of camera front"):
        authorisation.assignment(settings.cameras[0], settings, tmp_path)


def test_only_one_supervisor_holds_a_run_folder(tmp_path: Path) -> None:
    with status_file.OnlyOne(tmp_path / "run"):
        with pytest.raises(Unavailable, match="already runs"), status_file.OnlyOne(tmp_path / "run"):
            pass
        status_file.write(tmp_path / "run", {"state": "ready"})
    assert list((tmp_path / "run").iterdir()) == []
    with status_file.OnlyOne(tmp_path / "run"):
        pass


def test_a_run_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be used"), status_file.OnlyOne(tmp_path / "file" / "run"):
        pass


def test_an_authorisation_is_a_value(folder: Path) -> None:
    assert load_authorisation(folder) == load_authorisation(folder)
    assert isinstance(load_authorisation(folder), Authorisation)


def test_a_key_that_cannot_be_deleted_is_named_and_the_list_goes_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name == "identity.txt":
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(Unavailable, match=r"identity\.txt \(Permission denied\)"):
        load_authorisation(folder).erase()
    assert not (folder / "watchlist.age").exists()
