"""lfr doctor: one line a finding, a remedy with what is wrong, and an exit status that says whether anything failed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.cli.doctor import checks, gpu, self_test
from device.cli.doctor.finding import Finding
from device.cli.main import main
from device.config.model import GpioConfig, Mqtt, Vision
from device.domain.symptoms.names import Program, Site
from device.domain.symptoms.row import Remedy
from device.domain.symptoms.table import remedy
from device.edges.service.systemd import NoServiceManager
from engines.cards.model_card import packaged_names
from engines.errors import BadCard

MEND = Remedy("mend it", "row of b")
EXAMPLE = Path(__file__).resolve().parents[3] / "systemd" / "examples" / "desk-recording.yaml"


def only(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    def check() -> Iterator[Finding]:
        yield from findings

    monkeypatch.setattr(checks, "CHECKS", (check,))


def test_warnings_are_no_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    only(monkeypatch, Finding("a", "ok", "fine", Remedy("unused", "a")), Finding("b", "warn", "so so", MEND))
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "mend it" in said
    assert "unused" not in said


def test_a_failure_is_69_and_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    only(monkeypatch, Finding("b", "fail", "broken", MEND))
    assert main(["doctor", "--json"]) == 69
    result = json.loads(capsys.readouterr().out)
    assert result["findings"] == [
        {"name": "b", "level": "fail", "text": "broken", "symptom": "row of b", "remedy": "mend it"}
    ]


def test_a_bad_configuration_is_a_finding_for_each_problem(tmp_path: Path) -> None:
    file = tmp_path / "device.yaml"
    file.write_text("site: demo\n")
    found = list(checks.configuration(file))
    assert {f.level for f in found} == {"fail"}
    assert len(found) >= 4


def test_a_broker_whose_name_is_not_known_is_not_told_to_start_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = checks.broker(mqtt("hub.van"))
    assert (found.level, found.text) == (
        "fail",
        "mqtt.host: no address is known for hub.van (Name or service not known)",
    )
    assert found.remedy == remedy(Site.BROKER_NAME)


def test_a_broker_that_does_not_listen_is_told_to_start_the_hub() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = checks.broker(mqtt("127.0.0.1", taken.getsockname()[1]))
    assert found.level == "fail"
    assert found.remedy == remedy(Site.BROKER_SILENT)


def mqtt(host: str, port: int = 8883) -> Mqtt:
    """A broker's address; its files are not looked at."""
    return Mqtt(host=host, port=port, ca=Path("ca"), cert=Path("cert"), key=Path("key"))


def test_a_pin_of_no_header_is_a_finding_off_a_board_too() -> None:
    wired = {"driver": "gpiozero", "sign": "BOARD17", "sign_sense": "BOARD33", "stop": "BOARD29"}
    (found,) = checks.header_pins(GpioConfig.model_validate(wired))
    assert (found.level, "3.3 V" in found.text) == ("fail", True)


def test_the_root_of_trust_says_its_mode_and_a_missing_one_is_a_failure(tmp_path: Path) -> None:
    missing = checks.root_of_trust(tmp_path)
    assert missing.level == "fail"
    assert "no root of trust" in missing.text
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "root.json").write_text("{}")
    held = checks.root_of_trust(tmp_path)
    assert held.level == "ok"
    assert "mode test" in held.text


def test_a_damaged_card_fails_a_line_of_its_own_and_the_other_models_have_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path))
    kept = tmp_path / "models" / "cards" / "tiny.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text("garbage")
    found = {finding.name: finding for finding in checks.models()}
    assert found["card tiny"].level == "fail"
    assert found["card tiny"].remedy == BadCard.remedy, "engines may not import the table"
    assert found["card tiny"].remedy == remedy(Program.CARD)
    assert {name for name in found if name.startswith("model ")} == {f"model {name}" for name in packaged_names()}


def test_every_check_answers_on_this_machine() -> None:
    found = list(checks.all_checks(None))
    assert {"python", "clock", "landlock", "disk", "gpio"} <= {f.name for f in found}
    assert all(f.text for f in found)


def test_no_trial_imports_from_the_folder_that_an_engineer_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root in a folder of the service would run the service's code."""
    (tmp_path / "json.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("device.cli.doctor.gpu.util.find_spec", lambda name: object())
    monkeypatch.setattr(gpu, "TRIAL", 'import json; print(json.dumps({"fault": "none"}))')
    monkeypatch.setattr(checks, "TRIAL", 'import json; print(json.dumps({"seccomp": True}))')
    here = gpu._here()
    assert here is not None
    assert here.fault == "none"
    assert next(f for f in checks.lockdown() if f.name == "lock seccomp").level == "ok"


def test_the_self_test_runs_the_engines_tries_no_connection_and_sums_up_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only(monkeypatch, Finding("a", "ok", "fine"), Finding("heat", "warn", "hot", MEND))
    asked = []

    def configuration(file: Path, *, network: bool = True) -> Iterator[Finding]:
        asked.append(network)
        yield Finding("configuration", "ok", str(file))

    manager = NoServiceManager()
    monkeypatch.setattr(checks, "configuration", configuration)
    monkeypatch.setattr("device.edges.service.systemd.service_manager", lambda: manager)
    monkeypatch.setattr(
        self_test, "engines", lambda vision: iter([Finding("engines", "fail", "differ", remedy(Program.MODEL))])
    )
    assert main(["doctor", "--self-test", "--config", str(EXAMPLE)]) == 69
    assert asked == [False]
    assert "FAIL engines" in capsys.readouterr().out
    assert manager.last_status == "2 ok, 1 warnings, 1 failed; first: engines: differ -> lfr engines prepare"


def test_engines_that_end_by_a_signal_or_say_nothing_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "ENGINES", "import os; os.kill(os.getpid(), 11)")
    (found,) = self_test.engines(Vision())
    assert (found.level, "status -11" in found.text) == ("fail", True)


def test_engines_with_an_unknown_model_are_a_failure_that_names_it() -> None:
    (found,) = self_test.engines(Vision(detector="no-such-model"))
    assert found.level == "fail"
    assert "no-such-model" in found.text
