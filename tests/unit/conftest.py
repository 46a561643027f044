"""Builders that several folders of unit tests share: a candidate, its context, a fixed noon."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from device.domain.finding import Candidate
from device.domain.time import WallTime, rfc3339
from device.hub_api import messages
from device.hub_api.alert_builder import AlertContext
from tests.sample_alerts import NOON, a_candidate, a_context


@pytest.fixture
def noon() -> WallTime:
    return NOON


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    return a_candidate


@pytest.fixture
def context() -> AlertContext:
    return a_context(
        deployment_id="demo-2026-11-23",
        operator_session="s-1",
        sign=messages.SignReading(state="simulated", sensed_at=rfc3339(NOON)),
    )
