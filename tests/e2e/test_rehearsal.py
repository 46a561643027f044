"""One whole deployment with real parts, as somebody rehearses it, and its log in the order in which it must happen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LIMIT_S = 900.0
ORDER = (
    "REFUSED    officers' threshold",
    "SIGN       AO-1 at the hub, AO-2 on a copy",
    "PUBLISH",
    "SYNC usb",
    "STATE      armed",
    "STATE      recognising",
    "ALERT      possible match",
    "SIGN LOST  the lamp dies",
    "STATE      inhibited",
    "SIGN BACK",
    "RECOVERED",
    "WITHDRAWN",
    "END ",
    "STATE      ending",
    "ENDED",
    "ERASED     nothing is left",
)


def test_a_deployment_is_rehearsed_from_two_signatures_to_the_erased_list(clip: Path) -> None:
    lfr = str(Path(sys.executable).with_name("lfr"))
    done = subprocess.run(
        [lfr, "rehearsal", "--clip", str(clip), "--json"], capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["ok"]
    output = iter(report["log"])
    for step in ORDER:
        assert any(step in line for line in output), f"{step!r} does not come, or not in its place:\n{done.stdout}"
    conditions = [line for line in report["log"] if " arm " in line or " run " in line]
    for row in ("deployment signed", "watchlist sealed to this device", "sign sensed lit", "operating point"):
        assert any(" holds " in line and row in line for line in conditions), row
    assert any(" fails " in line and "sign sensed lit" in line for line in conditions)
