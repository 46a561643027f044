"""Switches off the runtimes' telemetry. Call it before one is imported; it takes effect once.

By default, OpenVINO (2026.4) and ONNX Runtime (from 1.29 on) send usage events over the network and leave an identifier
in the user's home (seen 2026-11-23: files there and in the temporary folder).
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import cast


def keep_quiet() -> None:
    """Switch off both.

    openvino.tools.ovc continues without its telemetry package when that cannot be imported; ONNX Runtime's full opt-out
    is its variable ORT_DISABLE_TELEMETRY (pull request 27379).
    """
    cast("dict[str, ModuleType | None]", sys.modules).setdefault("openvino_telemetry", None)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
