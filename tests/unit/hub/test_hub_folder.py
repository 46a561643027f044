"""The hub's folder, its certificates and where mosquitto is found."""

from __future__ import annotations

import os
import stat
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from device.cli.main import main
from device.domain.finding import Mode
from device.domain.time import wall
from device.errors import ConfigError, Unavailable, UsageError
from tools.hub.broker import mosquitto
from tools.hub.broker.configuration import access_list
from tools.hub.site import init_hub
from tools.hub.storage.folder import Entry, HubFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_hub(tmp_path / "hub", site="demo", devices=("cam-1",), mode=Mode.DEMO)
    return tmp_path / "hub"


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_secrets_are_for_their_owner_only(folder: Path) -> None:
    HubFolder(folder).keys.recipient_for("d-1", wall(datetime.now(timezone.utc)))
    secrets = [*folder.rglob("*.key"), *(folder / "keys").iterdir(), folder / "console.yaml"]
    assert len(secrets) == 12
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_clients_cannot_be_servers_and_the_name_is_the_user(folder: Path) -> None:
    device = certificate(folder / "devices" / "cam-1.pem")
    assert [a.value for a in device.subject] == ["cam-1"]
    assert list(device.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert not device.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_server_certificate_names_the_loopback_and_is_short_lived(folder: Path) -> None:
    server = certificate(folder / "server.pem")
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert "127.0.0.1" in [str(a) for a in names.get_values_for_type(x509.IPAddress)]
    assert server.not_valid_after_utc - datetime.now(timezone.utc) < timedelta(days=31)


def test_a_second_run_adds_a_device_and_replaces_nothing(folder: Path) -> None:
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.suffix in (".pem", ".key", ".txt")}
    made = init_hub(folder, site="demo", devices=("cam-2",), mode=Mode.DEMO)
    assert all(p.read_bytes() == content for p, content in before.items())
    assert any("cam-2" in line for line in made)
    assert HubFolder(folder).settings().devices == ("cam-1", "cam-2")
    assert "user cam-2" in (folder / "acl").read_text()


def test_a_folder_of_another_site_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="belongs to 'demo'"):
        init_hub(folder, site="other", devices=(), mode=Mode.DEMO)


def test_a_folder_of_another_mode_is_refused_before_anything_is_made(folder: Path) -> None:
    with pytest.raises(ConfigError, match="this folder's is demo"):
        init_hub(folder, site="demo", devices=("cam-2",), mode=Mode.OPERATIONAL)
    assert not (folder / "devices" / "cam-2.pem").exists()
    assert HubFolder(folder).settings().mode is Mode.DEMO


def test_a_device_can_be_added_without_saying_the_mode_again(tmp_path: Path) -> None:
    assert main(["hub", "init", str(tmp_path / "h"), "--site", "north", "--mode", "test"]) == 0
    assert main(["hub", "init", str(tmp_path / "h"), "--site", "north", "--device", "cam-1"]) == 0
    assert HubFolder(tmp_path / "h").settings().mode is Mode.TEST
    assert main(["hub", "init", str(tmp_path / "g")]) == 0
    assert HubFolder(tmp_path / "g").settings().mode is Mode.DEMO


@pytest.mark.parametrize("name", ["hub", "listener", "a/b", "+", "#", "", "../x", "käfer"])
def test_a_device_cannot_have_a_name_that_reaches_further(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        init_hub(tmp_path / "hub", site="demo", devices=(name,), mode=Mode.DEMO)
    assert not (tmp_path / "hub").exists()


def test_the_command_makes_a_folder_and_a_bad_name_is_a_usage_error(tmp_path: Path) -> None:
    assert main(["hub", "init", str(tmp_path / "h"), "--site", "north", "--device", "cam-1", "--device", "cam-2"]) == 0
    assert (tmp_path / "h" / "devices" / "cam-2.key").exists()
    assert main(["hub", "init", str(tmp_path / "g"), "--device", "hub"]) == 64


@pytest.mark.parametrize("place", ["file/hub", "file"])
def test_a_folder_that_cannot_be_written_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["hub", "init", str(tmp_path / place)]) == 69
    output = capsys.readouterr().err
    assert "Errno" not in output
    assert str(tmp_path / place) in output
    assert "name a folder that this user may write to" in output


def test_settings_that_cannot_be_read_are_named(folder: Path) -> None:
    hub = HubFolder(folder)
    hub.console_file.unlink()
    hub.console_file.mkdir()
    with pytest.raises(Unavailable, match=r"console\.yaml cannot be read: Is a directory; "):
        hub.settings()


def test_serving_a_folder_that_is_no_hub_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unavailable, match=r"it has no console\.yaml; make one with `lfr hub init"):
        HubFolder(tmp_path).settings()


def test_all_mistakes_in_console_yaml_are_reported_together(folder: Path) -> None:
    (folder / "console.yaml").write_text("site: 3\nmode: covert\nbroker_port: 99999\nentries: {e: {}}\ncolour: red\n")
    with pytest.raises(ConfigError) as caught:
        HubFolder(folder).settings()
    assert len(caught.value.problems) == 5


def test_references_are_kept_by_plain_names_and_forgotten_together(folder: Path) -> None:
    hub = HubFolder(folder)
    hub.add_entry("e-1", Entry("Person A"), b"\xff\xd8\xff")
    assert hub.reference("e-1") == b"\xff\xd8\xff"
    assert hub.settings().entries["e-1"].label == "Person A"
    assert hub.reference("../identity") is None
    assert hub.reference("../../etc/passwd") is None
    with pytest.raises(UsageError):
        hub.add_entry("../../x", Entry("Person B"), b"")
    assert hub.erase_entries() == 1
    assert (hub.reference("e-1"), hub.settings().entries) == (None, {})


def test_what_was_given_after_the_end_of_a_list_is_not_forgotten_with_it(folder: Path) -> None:
    hub = HubFolder(folder)
    hub.add_entry("e-1", Entry("Person A"), b"\xff\xd8\xff")
    os.utime(hub.references / "e-1.jpg", (1_000, 1_000))
    hub.add_entry("e-2", Entry("Person B"), b"\xff\xd8\xff")
    assert hub.erase_entries(given_before=wall(datetime.fromtimestamp(2_000, timezone.utc))) == 1
    assert hub.reference("e-1") is None
    assert list(hub.settings().entries) == ["e-2"]


def test_labels_that_cannot_be_forgotten_because_console_yaml_is_broken_are_a_fault(folder: Path) -> None:
    (folder / "console.yaml").write_text("entries: {e-1: [")
    with pytest.raises(ConfigError):
        HubFolder(folder).erase_entries()


def test_no_user_but_the_hub_and_its_listeners_may_read_alerts() -> None:
    sections = access_list("demo", ("cam-1",)).split("\nuser ")[1:]
    readers = {s.split("\n")[0] for s in sections if "topic read lfr/v1/demo/#" in s or "read lfr/v1/demo/+/alert" in s}
    assert readers == {"hub", "listener", "witness", "monitor"}


def test_a_broker_unpacked_without_root_is_found_with_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "system" / "usr" / "sbin" / "mosquitto"
    libraries = tmp_path / "system" / "usr" / "lib" / "x86_64-linux-gnu"
    binary.parent.mkdir(parents=True)
    libraries.mkdir(parents=True)
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    real_access = os.access
    monkeypatch.setenv("LFR_CACHE", str(tmp_path))
    monkeypatch.setattr("tools.hub.broker.mosquitto.shutil.which", lambda _: None)
    monkeypatch.setattr(
        "tools.hub.broker.mosquitto.os.access", lambda p, m: str(p).startswith(str(tmp_path)) and real_access(p, m)
    )
    found = mosquitto.find_mosquitto()
    assert found.path == binary
    assert str(libraries) in found.environment["LD_LIBRARY_PATH"]
    binary.unlink()
    with pytest.raises(Unavailable, match="make setup"):
        mosquitto.find_mosquitto()


def test_a_list_of_twenty_thousand_does_not_hold_the_console_up(folder: Path) -> None:
    hub = HubFolder(folder)
    hub._write_entries({f"e-{number}": Entry(f"e-{number}", "missing", "R3") for number in range(20_000)})
    begun = time.process_time()
    assert len(hub.settings().entries) == 20_000
    assert time.process_time() - begun < 3.0, "an operator counts as gone after three seconds"
    before = hub.entries_written()
    hub.erase_refs(["e-7"])
    assert hub.entries_written() != before
    assert "e-7" not in hub.settings().entries


def test_a_label_written_by_hand_goes_with_its_entry_too(folder: Path) -> None:
    hub = HubFolder(folder)
    text = hub.console_file.read_text().replace("entries: {}", "entries: {e-1: {label: by hand}}")
    hub.console_file.write_text(text)
    hub.add_entry("e-2", Entry("given"), b"jpeg")
    assert {ref: entry.label for ref, entry in hub.settings().entries.items()} == {"e-1": "by hand", "e-2": "given"}
    hub.erase_refs(["e-1"])
    assert set(hub.settings().entries) == {"e-2"}
    assert "by hand" not in hub.console_file.read_text()


def test_a_hub_that_lacks_a_key_is_not_served_and_the_file_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.hub.serve._lock_down", lambda: None)  # it is for good, and this process runs other tests
    (folder / "hub.key").unlink()
    ports = ["--port", "0", "--broker-port", "0", "--repository-port", "0"]
    assert main(["hub", "serve", str(folder), *ports]) == 69
    assert "lacks hub.key" in capsys.readouterr().err
    (folder / "hub.pem").unlink()
    assert main(["hub", "init", str(folder), "--site", "demo"]) == 0
    assert (folder / "hub.key").exists()


@pytest.mark.parametrize("option", ["--port", "--broker-port", "--repository-port"])
@pytest.mark.parametrize("port", ["65536", "-5", "x"])
def test_what_is_no_port_is_a_usage_error(folder: Path, option: str, port: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["hub", "serve", str(folder), f"{option}={port}"])
    assert ended.value.code == 64


@pytest.mark.parametrize(
    "content",
    [b"site: \xff\xfe", b"- a", b"devices: 5\n", b"notice: [a]\n", b"site: 2026-99-99\n", b"entries: [a]\n"],
)
def test_a_console_yaml_of_any_content_is_a_config_error(folder: Path, content: bytes) -> None:
    hub = HubFolder(folder)
    mapping = content.startswith((b"devices", b"notice"))
    hub.console_file.write_bytes(content + (b"site: demo\nmode: demo\n" if mapping else b""))
    with pytest.raises(ConfigError):
        hub.settings()
    if not mapping:
        with pytest.raises(ConfigError):
            hub.erase_entries()


def test_labels_that_are_no_text_are_a_config_error(folder: Path) -> None:
    hub = HubFolder(folder)
    hub.entries_file.write_bytes(b'{"e": {"label": "\xff"}}')
    with pytest.raises(ConfigError):
        hub.settings()
