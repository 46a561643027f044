"""A desk with its counts, and a hub's identity, for the tests of the hub."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from device.domain.finding import Mode
from device.domain.time import wall
from tools.hub.console.desk import Desk
from tools.hub.report.tallies import Tallies
from tools.hub.storage.deployment_keys import DeploymentKeys
from tools.hub.storage.folder import ConsoleSettings, Entry
from tools.hub.storage.probes import ProbeOpener


@pytest.fixture
def settings() -> ConsoleSettings:
    entries = {"e-042": Entry("Person A", "missing", "R3")}
    return ConsoleSettings("demo", Mode.DEMO, ("cam-1",), {"en": "…"}, entries, "127.0.0.1", 0, 0)


@pytest.fixture
def tallies(tmp_path: Path) -> Tallies:
    return Tallies(tmp_path / "report.json")


@pytest.fixture
def desk(settings: ConsoleSettings, tallies: Tallies) -> Desk:
    return Desk(settings, tallies)


@pytest.fixture
def opener(tmp_path: Path) -> ProbeOpener:
    keys = DeploymentKeys(tmp_path)
    keys.recipient_for("d-1", wall(datetime(2026, 11, 24, 12, tzinfo=timezone.utc)))
    return ProbeOpener(keys)
