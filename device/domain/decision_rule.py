"""Which decision rule this program uses: evidence is for exactly one, and another one makes other scores."""

from __future__ import annotations

DECISION_RULE = "running means of all and of the last 3 looks/1"
"""Name and version. device.vision.decision and device.vision.passages implement the rule, and
calibration.statistics.decision_rules repeats it on photos. Whoever changes how looks are combined raises the version
and makes the evidence anew."""
