"""deployment.yaml: complete, bounded, its times aware and in order."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from device.config.deployment import Deployment, load_deployment
from device.domain.finding import Mode
from device.domain.time import wall
from device.errors import ConfigError

GOOD = f"""
id: demo-2026-11-23
mode: demo
controller: Demo Constabulary
owner: Another Force
authorising_officer: AO-1
purpose: finding a missing person
legal_basis: common law
place: Town square
window: {{start: 2026-11-23T09:00:00Z, end: 2026-11-23T17:00:00+01:00}}
devices: [cam-1]
categories: {{missing: {{response_code: R3}}}}
max_watchlist_size: 5000
watchlist: {{id: wl-1, sha256: {"a" * 64}, subjects: 1, images: 1}}
retention: {{alert_hours: 24, ceiling_days: 31}}
hub_recipient: age1{"q" * 58}
notice: {{en: Live facial recognition in operation, cy: Adnabod wynebau byw ar waith}}
"""


def load(tmp_path: Path, text: str) -> Deployment:
    (tmp_path / "deployment.yaml").write_text(text, encoding="utf-8")
    return load_deployment(tmp_path)


def test_a_complete_deployment_is_read(tmp_path: Path) -> None:
    deployment = load(tmp_path, GOOD)
    assert deployment.mode is Mode.DEMO
    assert deployment.retention.after_end == timedelta(hours=24)
    assert deployment.categories["missing"].response_code == "R3"


def test_the_window_includes_its_start_and_excludes_its_end(tmp_path: Path) -> None:
    window = load(tmp_path, GOOD).window
    start = datetime(2026, 11, 23, 9, 0, tzinfo=timezone.utc)
    end = datetime(2026, 11, 23, 16, 0, tzinfo=timezone.utc)
    assert window.holds(wall(start))
    assert not window.holds(wall(start - timedelta(seconds=1)))
    assert window.holds(wall(end - timedelta(seconds=1)))
    assert not window.holds(wall(end))


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00", "timezone"),
        ("2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z", "end must be later than start"),
        ("mode: demo", "mode: covert", "'operational', 'test' or 'demo'"),
        ("alert_hours: 24", "alert_hours: 745", "less than or equal to 744"),
        ("alert_hours: 24, ceiling_days: 31", "alert_hours: 49, ceiling_days: 2", "must not exceed ceiling_days"),
        ("ceiling_days: 31", "ceiling_days: 32", "less than or equal to 31"),
        ("age1", "AGE-SECRET-KEY-1", "must be an age recipient"),
        ("a" * 64, "A" * 64, "64 lower-case hexadecimal digits"),
        ("devices: [cam-1]", "devices: []", "at least 1 item"),
        ("owner: Another Force", "", "owner: missing"),
        ("categories", "category", "nearest valid key is 'categories'"),
        ("response_code: R3", "respons_code: R3", "nearest valid key is 'response_code'"),
    ],
)
def test_a_deployment_out_of_bounds_names_the_rule(tmp_path: Path, old: str, new: str, rule: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert rule in str(caught.value)
