"""`lfr audit verify` as somebody with a copy of the log uses it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import pytest

from device.audit.key import device_key
from device.audit.log import Log
from device.audit.rows import Head, Links
from device.cli.main import main
from device.domain.audit_record import record
from device.domain.time import wall
from device.hub_api.messages import AuditHead
from tools.hub.report.audit_heads import Heads

NOW = wall(datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three rows and a head."""
    key, written, links = device_key(tmp_path), Log(tmp_path / "audit"), Links("boot-1")
    for _ in range(3):
        written.append(links.add(record("started", version="0.1.0"), NOW))
    line, head = links.head(NOW, key)
    written.append(line)
    written.keep_head(head)
    (tmp_path / "hub-heads.jsonl").write_bytes(msgspec.json.encode(head) + b"\n")
    return tmp_path / "audit"


def test_a_whole_log_is_zero_and_says_whose_key_was_used(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(log)]) == 0
    output = capsys.readouterr().out
    assert "whole: rows 0 to 3" in output
    assert "taken from beside the log" in output
    assert main(["audit", "verify", str(log), "--key", (log.parent / "device.pub").read_text()]) == 0
    assert "taken from beside" not in capsys.readouterr().out


def test_a_changed_row_is_65_with_its_place(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = log / "audit.jsonl"
    file.write_bytes(file.read_bytes().replace(b"0.1.0", b"0.2.0", 1))
    assert main(["audit", "verify", str(log), "--json"]) == 65
    verdict = json.loads(capsys.readouterr().out)
    assert not verdict["ok"]
    assert (verdict["broken"]["row"], verdict["broken"]["line"], verdict["broken"]["kind"]) == (0, 1, "changed")


def test_heads_from_the_hub_are_compared(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heads = str(log.parent / "hub-heads.jsonl")
    assert main(["audit", "verify", str(log), "--head", heads]) == 0
    file = log / "audit.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:2]))
    (log / "head.json").unlink()
    assert main(["audit", "verify", str(log), "--head", heads]) == 65
    assert "truncated" in capsys.readouterr().out


def test_the_hubs_heads_are_a_key(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heads = log.parent / "hub-heads.jsonl"
    good = heads.read_bytes()
    forged = msgspec.json.encode(msgspec.structs.replace(msgspec.json.decode(good, type=Head), seq=2)) + b"\n"
    heads.write_bytes(forged + good)
    (log.parent / "device.pub").unlink()
    assert main(["audit", "verify", str(log), "--key", str(heads)]) == 0
    assert "taken from beside" not in capsys.readouterr().out
    heads.write_bytes(forged)
    assert main(["audit", "verify", str(log), "--key", str(heads)]) == 65
    assert "no head in" in capsys.readouterr().err
    _, others = Links("boot-1").head(NOW, device_key(tmp_path / "other"))
    heads.write_bytes(msgspec.json.encode(others) + b"\n")
    assert main(["audit", "verify", str(log), "--key", str(heads)]) == 65
    assert "forged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["nowhere"], 65), (["{log}", "--key", "zz"], 65), (["{log}", "--head", "{log}/audit.jsonl"], 65)],
)
def test_what_cannot_be_checked_is_refused(log: Path, arguments: list[str], status: int) -> None:
    assert main(["audit", "verify", *(a.replace("{log}", str(log)) for a in arguments)]) == status


def test_without_any_key_the_remedy_is_named(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (log.parent / "device.pub").unlink()
    assert main(["audit", "verify", str(log)]) == 64
    output = capsys.readouterr().err
    assert "--key" in output
    assert "audit/<device>.heads.jsonl" in output


def write_log(folder: Path, rows: int, boot: str) -> tuple[Path, list[Head]]:
    """A device's state folder with a log of so many rows and two heads."""
    key, written, links, heads = device_key(folder), Log(folder / "audit"), Links(boot), []
    for n in range(rows):
        written.append(links.add(record("began" if n == 0 else "started"), NOW))
        if n in (rows // 2, rows - 1):
            line, head = links.head(NOW, key)
            written.append(line)
            written.keep_head(head)
            heads.append(head)
    return folder / "audit", heads


@pytest.fixture
def replaced(tmp_path: Path) -> tuple[Path, Path, list[Head], list[Head]]:
    """Logs before and after a device's state folder was replaced, with their heads."""
    before, old = write_log(tmp_path / "before", 9, "boot-1")
    after, new = write_log(tmp_path / "after", 5, "boot-2")
    return before, after, old, new


def as_device(head: Head) -> AuditHead:
    return AuditHead(mode=None, **msgspec.structs.asdict(head))


def test_a_replaced_state_folder_is_understood_once_somebody_at_the_hub_recorded_it(
    replaced: tuple[Path, Path, list[Head], list[Head]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after, old, new = replaced
    kept, file = Heads(tmp_path / "audit"), tmp_path / "audit" / "cam-1.heads.jsonl"
    assert [kept.take("cam-1", as_device(head)) for head in old] == ["", ""]
    assert kept.replaced("cam-1", NOW, "insp.7")
    assert [kept.take("cam-1", as_device(head)) for head in new] == ["", ""], "a hub that runs reads it again"
    for log in (before, after):
        assert main(["audit", "verify", str(log), "--key", str(file), "--head", str(file)]) == 0
        output = capsys.readouterr().out
        assert "was replaced at 2026-11-24T12:00:00.000Z, as insp.7 recorded" in output
        assert "had been signed up to row 10" in output


def test_a_new_key_that_nobody_recorded_stays_a_finding_for_the_hub_and_the_verifier(
    replaced: tuple[Path, Path, list[Head], list[Head]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, after, old, new = replaced
    kept, file = Heads(tmp_path / "audit"), tmp_path / "audit" / "cam-1.heads.jsonl"
    problems = [kept.take("cam-1", as_device(head)) for head in (*old, *new)]
    assert all("signed by another key" in str(problem) for problem in problems[2:])
    assert main(["audit", "verify", str(after), "--key", str(file), "--head", str(file)]) == 65
    assert "forged" in capsys.readouterr().out


def test_the_log_after_a_replacement_that_was_cut_is_found_all_the_same(
    replaced: tuple[Path, Path, list[Head], list[Head]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, after, old, new = replaced
    kept, file = Heads(tmp_path / "audit"), tmp_path / "audit" / "cam-1.heads.jsonl"
    for head in old:
        kept.take("cam-1", as_device(head))
    kept.replaced("cam-1", NOW, "insp.7")
    for head in new:
        kept.take("cam-1", as_device(head))
    rows = (after / "audit.jsonl").read_bytes().splitlines(keepends=True)
    (after / "audit.jsonl").write_bytes(b"".join(rows[:4]))
    assert main(["audit", "verify", str(after), "--key", str(file), "--head", str(file)]) == 65
    assert "truncated" in capsys.readouterr().out


def test_a_device_without_heads_cannot_be_named_as_replaced(tmp_path: Path) -> None:
    assert not Heads(tmp_path / "audit").replaced("cam-1", NOW, "insp.7")
