"""`lfr config check` refuses pins that cannot be, certificates that do not fit, and names that nobody knows."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from device.cli import config_checks
from device.cli.doctor import checks
from device.cli.main import main
from device.config.loader import load_config
from device.config.model import GpioConfig
from device.edges.gpio.jetson_header import AGX_ORIN, BOARDS, ORIN_NANO_NX, POWER
from tools.hub.pki import certificate_authority
from tools.hub.pki.certificate_authority import Authority, open_authority

EXAMPLE = Path(__file__).resolve().parents[3] / "systemd" / "examples" / "rtsp.yaml"


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Path, Path]:
    """A hub's authority with clients cam-1 and cam-2, and the folder of another hub's."""
    ours, other = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("other")
    authority = open_authority(ours, "demo")
    for name in ("cam-1", "cam-2"):
        authority.issue_client(ours, name)
    open_authority(other, "demo").issue_client(other, "cam-1")
    return authority, ours, other


@pytest.fixture
def site(tmp_path: Path, authorities: tuple[Authority, Path, Path]) -> Path:
    """A configuration of cam-1 with its certificate, root of trust and reachable names."""
    text = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    text |= {"device": "cam-1", "lines": {"driver": "gpiozero", "sign": "BOARD31", "sign_sense": "BOARD32"}}
    text["lines"]["stop"] = "BOARD33"
    text["mqtt"] = {"host": "127.0.0.1", "ca": "ca.pem", "cert": "cam-1.pem", "key": "cam-1.key"}
    text["trust"] = {"roots": "trust", "url": "https://127.0.0.1/"}
    text["state_dir"] = str(tmp_path / "state")
    text["cameras"] = text["cameras"][:1]
    text["cameras"][0] |= {"source": "rtsp://127.0.0.1/front"}
    text["cameras"][0].pop("credential", None)
    for name in ("ca.pem", "cam-1.pem", "cam-1.key", "cam-2.pem", "cam-2.key"):
        shutil.copy(authorities[1] / name, tmp_path / name)
    (tmp_path / "trust" / "test").mkdir(parents=True)
    (tmp_path / "trust" / "test" / "root.json").write_text("{}")
    file = tmp_path / "device.yaml"
    file.write_text(yaml.safe_dump(text), encoding="utf-8")
    return file


def change(site: Path, section: str, **values: Any) -> None:
    text = yaml.safe_load(site.read_text(encoding="utf-8"))
    text[section] |= values
    site.write_text(yaml.safe_dump(text), encoding="utf-8")


def problems(site: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    """What the command prints as problems; its exit status follows from them."""
    status = main(["config", "check", str(site), "--json", *more])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert status == (78 if found["problems"] else 0)
    return list(found["problems"])


def test_a_site_that_fits_together_is_accepted(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert problems(site, capsys, "--board", "orin-nano-nx") == []


def test_an_authority_with_a_second_one_behind_it_is_refused(
    site: Path, authorities: tuple[Authority, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with (site.parent / "ca.pem").open("ab") as file:
        file.write((authorities[2] / "ca.pem").read_bytes())
    (problem,) = problems(site, capsys)
    assert "holds 2 certificates" in problem


@pytest.mark.parametrize(
    ("pin", "board", "says"),
    [
        ("BOARD17", None, "is 3.3 V and no GPIO"),
        ("BOARD2", None, "is 5 V and no GPIO"),
        ("BOARD39", "agx-orin", "is ground and no GPIO"),
        ("BOARD41", None, "is beyond the header"),
        ("BOARD8", "orin-nano-nx", "is no GPIO of the Jetson Orin Nano / NX's header; it has BOARD7, BOARD11"),
        ("PAA.01", "orin-nano-nx", "is no GPIO of the Jetson Orin Nano / NX's header"),
        ("BOARD11", "agx-orin", "can only be an output"),
    ],
)
def test_a_pin_that_cannot_be_read_is_refused_offline_too(
    site: Path, capsys: pytest.CaptureFixture[str], pin: str, board: str | None, says: str
) -> None:
    change(site, "lines", stop=pin)
    (found,) = problems(site, capsys, "--offline", *(() if board is None else ("--board", board)))
    assert found.startswith(f"lines.stop: {pin} ")
    assert says in found


def test_no_board_has_a_gpio_where_there_is_power() -> None:
    for board in BOARDS:
        assert not {pin.header for pin in board.pins} & set(POWER)


def test_a_tower_lamp_is_whole_or_single_and_no_pin_is_used_twice(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(site, "lines", lamps={"tower_red": "BOARD7", "tower_green": "BOARD11"})
    (found,) = problems(site, capsys, "--offline")
    assert "needs tower_red, tower_amber and tower_green" in found
    change(site, "lines", lamps={"tower_single": "BOARD7"}, blue_list_button="BOARD7")
    (found,) = problems(site, capsys, "--offline")
    assert "used twice: BOARD7" in found
    change(site, "lines", blue_list_button="BOARD11")
    assert problems(site, capsys, "--offline", "--board", "orin-nano-nx") == []
    (found,) = problems(site, capsys, "--offline", "--board", "agx-orin")
    assert found.startswith("lines.blue_list_button: BOARD11 ")
    assert "can only be an output" in found


def test_lamps_are_checked_and_simulated_lines_are_not() -> None:
    lit = GpioConfig.model_validate(
        {
            "driver": "gpiozero",
            "sign": "BOARD31",
            "sign_sense": "BOARD32",
            "stop": "BOARD33",
            "lamps": {"fault": "BOARD6"},
        }
    )
    assert [one.key for one in config_checks.pins(lit, ORIN_NANO_NX)] == ["lines.lamps.fault"]
    simulated = GpioConfig.model_validate({"driver": "simulated", "sign": "BOARD17"})
    assert config_checks.pins(simulated, AGX_ORIN) == []


def _garbage(site: Path) -> None:
    (site.parent / "cam-1.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n\0\xff\n-----END CERTIFICATE-----\n")


def _garbage_key(site: Path) -> None:
    (site.parent / "cam-1.key").write_bytes(b"{}")


def _garbage_authority(site: Path) -> None:
    (site.parent / "ca.pem").write_bytes(b"")


def _anothers_name(site: Path) -> None:
    change(site, "mqtt", cert="cam-2.pem", key="cam-2.key")


def _anothers_key(site: Path) -> None:
    change(site, "mqtt", key="cam-2.key")


@pytest.mark.parametrize(
    ("spoil", "key", "says"),
    [
        (_garbage, "mqtt.cert", "holds no certificate (PEM)"),
        (_garbage_key, "mqtt.key", "holds no private key (PEM)"),
        (_garbage_authority, "mqtt.ca", "holds no certificate (PEM)"),
        (_anothers_name, "mqtt.cert", "is of cam-2, and this device is cam-1"),
        (_anothers_key, "mqtt.key", "is not the key of the certificate"),
    ],
)
def test_a_certificate_that_does_not_fit_is_one_problem_with_its_remedy(
    site: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], key: str, says: str
) -> None:
    spoil(site)
    (found,) = problems(site, capsys)
    assert found.startswith(f"{key}: ")
    assert says in found
    assert ";" in found, "a remedy"
    assert problems(site, capsys, "--offline") == []


def test_a_certificate_of_another_hub_is_refused(
    site: Path, capsys: pytest.CaptureFixture[str], authorities: tuple[Authority, Path, Path]
) -> None:
    for name in ("cam-1.pem", "cam-1.key"):
        shutil.copy(authorities[2] / name, site.parent / name)
    (found,) = problems(site, capsys)
    assert found.startswith("mqtt.cert: was not issued by the authority in mqtt.ca")


def test_dates_are_refused_before_and_after_and_warned_of_14_days_before(site: Path) -> None:
    config = load_config(site)
    own = x509.load_pem_x509_certificate(config.mqtt.cert.read_bytes())
    begins, ends = own.not_valid_before_utc, own.not_valid_after_utc

    def at(moment: datetime) -> tuple[list[str], list[str]]:
        found, warned = config_checks.certificates(config, moment)
        return [x.found for x in found if x.key == "mqtt.cert"], [x.found for x in warned if x.key == "mqtt.cert"]

    assert "valid from" in at(begins - timedelta(seconds=1))[0][0]
    assert at(ends - timedelta(days=15)) == ([], [])
    assert "expires on" in at(ends - timedelta(days=13))[1][0]
    assert "expired on" in at(ends + timedelta(seconds=1))[0][0]


def dated(monkeypatch: pytest.MonkeyPatch, begins: int, ends: int) -> None:
    """What is issued from now on is valid from and to so many days from now."""
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder().not_valid_before(now + timedelta(days=begins))
    builder = builder.not_valid_after(now + timedelta(days=ends))
    monkeypatch.setattr(certificate_authority, "_dated", lambda _: builder.serial_number(x509.random_serial_number()))


@pytest.fixture
def expired(site: Path, authorities: tuple[Authority, Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site whose configured certificate has expired; returns where a renewed one belongs."""
    dated(monkeypatch, -40, -10)
    authorities[0].renew(site.parent / "cam-1.pem", (), server=False)
    own = site.parent / "state" / "certificates" / "own.pem"
    own.parent.mkdir(parents=True)
    shutil.copy(authorities[1] / "ca.pem", own.parent / "ca.pem")
    return own


def doctor_says(site: Path) -> list[tuple[str, str]]:
    """Level and text of the certificates' lines of `lfr doctor`."""
    found = checks.certificates(load_config(site))
    return [(one.level, one.text) for one in found]


def test_an_expired_certificate_that_the_hub_renewed_is_healthy(
    site: Path,
    authorities: tuple[Authority, Path, Path],
    expired: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (found,) = problems(site, capsys)
    assert found.startswith("mqtt.cert: expired on ")
    assert [level for level, _ in doctor_says(site)] == ["fail"]
    shutil.copy(site.parent / "cam-1.pem", expired)
    dated(monkeypatch, -1, 20)
    authorities[0].renew(expired, (), server=False)
    assert problems(site, capsys) == []
    assert doctor_says(site) == [("ok", "of cam-1, and the key is theirs")]


@pytest.mark.parametrize(
    ("begins", "ends", "level", "says"),
    [(-20, -5, "fail", "expired on"), (-1, 10, "warn", "expires on"), (1, 30, "fail", "is valid from")],
)
def test_a_renewed_certificate_is_judged_and_named_by_its_own_file(
    site: Path,
    authorities: tuple[Authority, Path, Path],
    expired: Path,
    monkeypatch: pytest.MonkeyPatch,
    begins: int,
    ends: int,
    level: str,
    says: str,
) -> None:
    shutil.copy(site.parent / "cam-1.pem", expired)
    dated(monkeypatch, begins, ends)
    authorities[0].renew(expired, (), server=False)
    ((found, text),) = doctor_says(site)
    assert found == level
    assert text.startswith(f"mqtt.cert, renewed in {expired}: {says}")


@pytest.mark.parametrize("spoil", ["another key", "a link", "rubbish"])
def test_what_the_device_would_not_use_does_not_count(
    site: Path,
    authorities: tuple[Authority, Path, Path],
    expired: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: str,
) -> None:
    valid = authorities[1] / "cam-2.pem" if spoil == "another key" else authorities[1] / "cam-1.pem"
    if spoil == "a link":
        expired.symlink_to(valid)
    else:
        expired.write_bytes(valid.read_bytes() if spoil == "another key" else b"rubbish")
    (found,) = problems(site, capsys)
    assert found.startswith("mqtt.cert: expired on ")


def test_where_renewed_ones_may_not_be_looked_for_days_are_not_judged(
    site: Path, expired: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(file: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(config_checks, "read_regular", refused)
    assert problems(site, capsys) == []
    ((level, text),) = doctor_says(site)
    assert level == "warn"
    assert text.endswith("state cannot be read")


def test_a_name_without_an_address_is_refused_with_the_remedy_and_offline_nobody_is_asked(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def unknown(host: str, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        if host == "127.0.0.1":
            return []
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    change(site, "mqtt", host="hub.local")
    (found,) = problems(site, capsys)
    assert found.startswith("mqtt.host: no address is known for hub.local (Name or service not known)")
    assert "libnss-mdns" in found
    assert "/etc/hosts" in found
    asked.clear()
    assert problems(site, capsys, "--offline") == []
    assert asked == []


def test_all_problems_are_shown_together(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(site, "lines", stop="BOARD17", sign="BOARD6")
    _anothers_key(site)
    (site.parent / "trust" / "test" / "root.json").unlink()
    assert len(problems(site, capsys)) >= 4
