"""The health gate: whether a device that runs a release is healthy, and stays so for a while. It decides nothing else.

1. Healthy: the service has sent READY=1, its status file is of the last seconds and of that release, the self-test has
   passed (the state is not `safe`), and the sign's loop is read: its sensor answers and nothing is wrong with the sign.
2. Within `ready_s` of its start a release must be healthy, and from then on for `healthy_s`, without a gap longer than
   GAP_S.
3. A service that failed, or that the service manager had to start again, is a verdict at once.
4. Where the release itself ran (READY=1, its own status, self-test passed) and the sign alone was missing, the cause is
   a passing one: a plug, a lamp, a sensor. Every other cause is the release's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from device.ports.device_service import DeviceService, Reading
from device.update.verdict import GOOD, Verdict

READY_S = 120.0  # TimeoutStartSec of the unit, twice
HEALTHY_S = 300.0
GAP_S = 10.0  # two of the status file's own deadlines
POLL_S = 1.0
SIGN = "sign:"


@dataclass(frozen=True, slots=True)
class Gate:
    """Deadlines and a clock; tests have a clock of their own."""

    ready_s: float = READY_S
    healthy_s: float = HEALTHY_S
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def watch(self, service: DeviceService, version: str) -> Verdict:
        """Why a release that was just started is not kept; empty when it is (rules 2 to 4)."""
        begun = self.monotonic()
        healthy_since = last_healthy = None
        fewest: int | None = None
        while True:
            reading, now = service.reading(), self.monotonic()
            fewest = reading.restarts if fewest is None else min(fewest, reading.restarts)
            if reading.state == "failed" or reading.restarts > fewest:
                return Verdict(f"lfr.service ended by itself ({reading.line or reading.state}); journalctl -u lfr")
            problem = unhealthy(reading, version)
            passing = problem.startswith(SIGN)
            if not problem:
                healthy_since, last_healthy = now if healthy_since is None else healthy_since, now
                if now - healthy_since >= self.healthy_s:
                    return GOOD
            elif last_healthy is None and now - begun > self.ready_s:
                return Verdict(f"not healthy within {self.ready_s:.0f} s: {problem}", passing)
            elif last_healthy is not None and now - last_healthy > GAP_S:
                seconds = last_healthy - (healthy_since or now)
                return Verdict(f"healthy for {seconds:.0f} s only: {problem}", passing)
            self.sleep(POLL_S)


def unhealthy(reading: Reading, version: str) -> str:
    """Rule 1: what is missing; empty when nothing is."""
    if reading.state != "active":
        return f"lfr.service is {reading.state or 'unknown'}"
    status = reading.status
    if status is None:
        return "the supervisor writes no status"
    if status.get("version") != version:
        return f"the supervisor is of release {status.get('version') or 'unknown'}, not {version}"
    if status.get("state") in (None, "safe"):
        return "the self-test has not passed"
    sign = status.get("sign")
    if not isinstance(sign, dict) or not isinstance(sign.get("sensed"), bool):
        return f"{SIGN} its sensor is not read"
    return f"{SIGN} {sign['problem']}" if sign.get("problem") else ""


def deployed(reading: Reading) -> str | None:
    """The deployment that is loaded; None when there is none. None, too, without a fresh status."""
    return None if reading.status is None else reading.status.get("deployment")
