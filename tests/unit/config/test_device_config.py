"""One file, every error at once, each with its place, its value and its rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.config.loader import check_files, load_config
from device.config.model import DeviceConfig, is_live
from device.errors import ConfigError

GOOD = """
site: demo
device: cam-1
cameras:
  - id: front
    source: clip.mp4
    zone: {name: north-gate, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}
mqtt: {host: localhost, port: 8883, ca: ca.pem, cert: cam-1.pem, key: cam-1.key}
lines: {driver: simulated}
trust: {roots: roots, url: "https://van:8444/", usb: stick}
"""

TRUST = 'trust: {roots: roots, url: "https://van:8444/", usb: stick}'


def load(tmp_path: Path, text: str) -> DeviceConfig:
    file = tmp_path / "device.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(file)


def problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.exit_status == 78
    return caught.value.problems


def only(tmp_path: Path, text: str) -> str:
    found = problems(tmp_path, text)
    assert len(found) == 1, found
    return found[0]


def test_a_good_file_becomes_frozen_structs_with_absolute_paths(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert config.mqtt.ca == tmp_path / "ca.pem"
    assert config.cameras[0].source == str(tmp_path / "clip.mp4")
    assert (config.trust.roots, config.trust.usb) == (tmp_path / "roots", tmp_path / "stick")
    assert config.root_topic == "lfr/v1/demo/cam-1"
    with pytest.raises(ValueError, match="frozen"):
        setattr(config, "site", "other")


def test_every_error_of_a_bad_file_is_reported_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
site: "two words"
device: cam/1
camers: []
cameras:
  - id: front
    source: rtsp://user:secret@host/stream
    pace: fast
    zone: {name: gate, polygon: [[0, 0], [1, 1]]}
vision: {min_face_px: 9999, thredshold: 0.4}
mqtt: {host: localhost, port: 88830, ca: a, cert: b, key: c}
lines: {driver: simulated}
trust: {url: "https://van"}
""",
    )
    text = "\n".join(found)
    assert len(found) >= 9
    for expected in (
        "site (line 2): must be 1 to 63 letters",
        "device (line 3)",
        "camers (line 4): unknown key; the nearest valid key is 'cameras'",
        "cameras[0].source (line 7): must not hold a password",
        "cameras[0].pace (line 8): input should be 'realtime' or 'full'; found 'fast'",
        "cameras[0].zone.polygon (line 9)",
        "vision.min_face_px (line 10): input should be less than or equal to 600; found 9999",
        "vision.thredshold (line 10): unknown key; the nearest valid key is 'threshold'",
        "mqtt.port (line 11): input should be less than or equal to 65535; found 88830",
        "trust.roots (line 13): missing; this key is required",
    ):
        assert expected in text
    assert "secret" not in text


def test_a_key_given_twice_is_an_error(tmp_path: Path) -> None:
    assert only(tmp_path, GOOD + "site: other\n") == "site: key given twice (line 11); keep one"


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    assert "line 2" in only(tmp_path, "site: demo\ndevice: [cam-1\n")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- a list\n", "just text\n"])
def test_a_file_that_is_no_mapping_is_an_error(tmp_path: Path, text: str) -> None:
    assert "mapping" in only(tmp_path, text)


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "nowhere.yaml")


def test_a_folder_or_bytes_instead_of_text_are_configuration_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"site: \xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "bytes.yaml")


def test_a_file_that_is_no_configuration_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "device.yaml").open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(ConfigError, match="longer than 1000000 bytes"):
        load_config(tmp_path / "device.yaml")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("port: 8883", 'port: "8883"', "valid integer"),
        ("[1, 1], [0, 1]]", "[0, 1], [1, 1]]", "must not cross itself"),
        ("[1, 1], [0, 1]]", "[0.5, 0]]", "must enclose an area"),
        ("[1, 1], [0, 1]]", "[2, 1]]", "less than or equal to 1"),
        ("source: clip.mp4", "source: http://host/x.mp4", "must be a path"),
        ("source: clip.mp4", "source: file://clip.mp4", "absolute path"),
        ("source: clip.mp4", "source: v4l2:///dev/video0", "only for recorded sources"),
        ("driver: simulated", "driver: gpiozero", "needs sign, sign_sense and stop"),
        ("driver: simulated", "driver: simulated, sign: BOARD31, stop: BOARD31", "used twice: BOARD31"),
        ("driver: simulated", "driver: simulated, sign_kind: neon", "should be 'led' or 'discharge'"),
        ("driver: simulated", "driver: simulated, sign: GPIO106", "must be a header pin"),
        ("roots: roots", "roots: [a]", "trust.roots"),
    ],
)
def test_a_value_out_of_its_bounds_names_the_rule(tmp_path: Path, old: str, new: str, rule: str) -> None:
    assert old in GOOD
    assert rule in "\n".join(problems(tmp_path, GOOD.replace(old, new)))


def test_full_pace_is_for_recordings_only(tmp_path: Path) -> None:
    lines = "lines: {driver: gpiozero, sign: BOARD31, sign_sense: BOARD33, stop: BOARD29}"
    live = GOOD.replace("lines: {driver: simulated}", lines).replace("source: clip.mp4", "source: csi://0")
    assert load(tmp_path, live).live
    found = problems(tmp_path, live.replace("source: csi://0", "source: csi://0\n    pace: full"))
    assert "reads a recording as fast as it can" in found[0]


def test_two_cameras_need_two_ids(tmp_path: Path) -> None:
    camera = "  - {id: front, source: b.mp4, zone: {name: g, polygon: [[0, 0], [1, 0], [1, 1]]}}\n"
    assert "used twice: front" in only(tmp_path, GOOD.replace("mqtt:", camera + "mqtt:", 1))


def test_files_that_the_device_needs_are_named_together(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    (tmp_path / "ca.pem").write_text("x")
    with pytest.raises(ConfigError) as caught:
        check_files(config, "device.yaml")
    assert [p.split(":")[0] for p in caught.value.problems] == ["mqtt.cert", "mqtt.key", "cameras[0].source"]


@pytest.mark.parametrize("source", ["rtsp://h/s", "rtsps://h/s", "v4l2:///dev/video0", "csi://0", "/dev/video1"])
def test_cameras_are_live(source: str) -> None:
    assert is_live(source)


@pytest.mark.parametrize("source", ["clip.mp4", "/videos/a b.mkv", "file:///videos/clip.mp4", "frames/"])
def test_recordings_are_not_live(source: str) -> None:
    assert not is_live(source)


def test_signed_deployments_come_from_a_hub_or_a_stick_and_are_verified_against_a_root(tmp_path: Path) -> None:
    trust = load(tmp_path, GOOD).trust
    assert (trust.roots, trust.url, trust.usb) == (tmp_path / "roots", "https://van:8444/", tmp_path / "stick")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            TRUST + "\ndeployment: /run/lfr/deployment",
            "deployment (line 11): no longer a key; deployments are signed, and come from a hub: write `trust:` with",
        ),
        ("", "trust: missing; this key is required"),
        ("trust: {roots: r}", "needs url, usb or both"),
        ("trust: {roots: r, url: 'http://van/'}", "must be https://"),
        ("trust: {roots: r, url: 'https://user:pass@van/'}", "must not hold a user or password"),
        ("trust: {roots: r, usb: u, mode: operational}", "unknown key"),
    ],
)
def test_what_trust_may_not_say(tmp_path: Path, changed: str, says: str) -> None:
    found = only(tmp_path, GOOD.replace(TRUST, changed))
    assert says in found
    assert "user:pass" not in found
