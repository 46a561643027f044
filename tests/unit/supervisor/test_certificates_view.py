"""Which warnings the certificates in use and their renewal give."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from device.domain.symptoms.names import Site
from device.domain.symptoms.table import row_of
from device.domain.time import WallTime, wall
from device.supervisor.status.certificates import CertificatesView

NOW = wall(datetime(2026, 11, 30, 12, tzinfo=timezone.utc))


def later(**delta: float) -> WallTime:
    return wall(NOW + timedelta(**delta))


def warned(view: CertificatesView) -> list[str]:
    """The symptoms."""
    return [text.partition(" (")[0] for text in view.warnings(NOW)]


@pytest.mark.parametrize(
    ("ends", "left", "symptom"),
    [
        (later(days=14, seconds=1), 14, None),
        (later(days=14, seconds=-1), 13, Site.CERTIFICATE_ENDS_SOON),
        (later(seconds=1), 0, Site.CERTIFICATE_ENDS_SOON),
        (later(), 0, Site.CERTIFICATE_EXPIRED),
        (later(seconds=-1), -1, Site.CERTIFICATE_EXPIRED),
    ],
)
def test_a_warning_from_14_days_before_the_end_and_another_after_it(
    ends: WallTime, left: int, symptom: Site | None
) -> None:
    for view in (CertificatesView(own=ends), CertificatesView(own=later(days=90), authority=ends)):
        assert view.days_left(NOW) == left
        assert warned(view) == ([] if symptom is None else [row_of(symptom).symptom])


def test_nothing_is_known_before_the_first_reading() -> None:
    assert CertificatesView().warnings(NOW) == []
    assert set(CertificatesView().as_json(NOW).values()) == {None, ""}


@pytest.mark.parametrize(
    ("refused", "hours", "warns"), [(True, 0, True), (False, 0, False), (False, 23.9, False), (False, 24, True)]
)
def test_a_hub_that_is_away_for_hours_is_no_fault_of_its_certificates(refused: bool, hours: float, warns: bool) -> None:
    view = CertificatesView(problem="no answer", refused=refused, failing_since=later(hours=-hours))
    assert warned(view) == ([row_of(Site.CERTIFICATE_NOT_RENEWED).symptom] if warns else [])
    assert view.as_json(NOW)["not_renewed"] == "no answer"
