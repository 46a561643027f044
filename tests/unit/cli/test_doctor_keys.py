"""What `lfr doctor` says of keys and of forgetting."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from device import eraser
from device.audit.key import device_key
from device.audit.log import Log
from device.audit.rows import Links
from device.cli.doctor import keys
from device.domain.audit_record import record
from device.domain.time import wall


def found(tmp_path: Path) -> dict[str, Any]:
    config: Any = SimpleNamespace(state_dir=tmp_path)
    return {finding.name: finding for finding in keys.of_device(config)}


def test_the_key_store_is_named_with_what_follows_from_it() -> None:
    (store,) = keys.key_store()
    assert store.text.startswith("RAM only (")
    assert "TPM" in store.text
    assert "is lost at a power cut" in store.text


def test_a_fresh_device_has_nothing_wrong_with_it(tmp_path: Path) -> None:
    assert {f.level for f in found(tmp_path).values()} == {"ok"}


def test_a_key_that_others_may_read_fails(tmp_path: Path) -> None:
    key = device_key(tmp_path)
    assert found(tmp_path)["device key"].level == "ok"
    assert key.public[:16] in found(tmp_path)["device key"].text
    (tmp_path / "device.key").chmod(0o644)
    assert found(tmp_path)["device key"].level == "fail"


def test_a_log_of_the_first_minute_warns_and_one_that_was_touched_fails(tmp_path: Path) -> None:
    key, log, links = device_key(tmp_path), Log(tmp_path / "audit"), Links("b")
    now = wall(datetime.now(timezone.utc))
    log.append(links.add(record("began"), now))
    assert found(tmp_path)["audit log"].level == "warn"
    line, head = links.head(now, key)
    log.append(line)
    log.keep_head(head)
    assert found(tmp_path)["audit log"].level == "ok"
    file = tmp_path / "audit" / "audit.jsonl"
    file.write_bytes(file.read_bytes().replace(b"began", b"ended"))
    assert found(tmp_path)["audit log"].level == "fail"


def test_an_order_that_nobody_carried_out_fails_with_its_name(tmp_path: Path) -> None:
    eraser.place(tmp_path, "d-late", (), 1_000, 0)
    assert "d-late" in found(tmp_path)["erasure orders"].text
    assert found(tmp_path)["erasure orders"].level == "fail"
