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
    said = capsys.readouterr().out
    assert "whole: rows 0 to 3" in said
    assert "taken from beside the log" in said
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
    said = capsys.readouterr().err
    assert "--key" in said
    assert "audit/<device>.heads.jsonl" in said
