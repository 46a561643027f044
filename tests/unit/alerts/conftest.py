"""Builders for the tests of messages and the outbox."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lfr_test_sample_alerts import NOON, a_candidate, a_context

from device.alerts import messages
from device.alerts.raising import AlertContext
from device.domain.finding import Candidate
from device.domain.time import WallTime, rfc3339


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
