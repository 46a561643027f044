"""What the rows of the acceptance sheet are measured with on a board: the commands that the rows name.

1. The doctor's row runs the checks of `lfr doctor --config FILE`, and of `--board` on a Jetson.
2. The loop-back needs the housing unplugged, the sign's rows need it plugged: with bridges named, the engineer is asked
   to plug it in between. Without bridges it is not done.
3. The plans' row runs `lfr engines compare` against the portable runtime, in a process of its own: a GPU's driver may
   end it by a signal. It is run for every model and size that the configuration's cameras need, but for plans that read
   frames on the GPU, which no other runtime takes; a missing plan fails. Models of a folder of their own are not done.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from device.errors import LfrError, Unavailable
from tools.flash.acceptance import Parts, Row

if TYPE_CHECKING:
    from device.config.model import Camera, DeviceConfig
    from device.ports.gpio import LineLevels
    from device.ports.source import FrameSource
    from engines.tensorrt.plans import NeededPlans

REFERENCE = "onnxruntime"
COMPARE_S = 300.0
PLUG_IN = "Take the bridges off and plug the housing in again. Enter: done"
PLANS = "engine plans"
LOOP_BACK = "gpio loop-back"


def board_parts(config: DeviceConfig, file: Path, bridges: list[str]) -> Parts:
    """The board's own. file: the configuration's;  bridges: OUTPUT=INPUT, each in place. Raises UsageError."""
    from device.edges.clock.system import SystemClock
    from device.edges.gpio.gpiozero_gpio import GpiozeroGpio

    return Parts(
        lines=lambda: GpiozeroGpio(config.lines),
        source=_opened,
        clock=SystemClock(),
        self_test=lambda: _self_test(config),
        doctor=lambda: _doctor(file),
        loop_back=lambda: loop_back(config, bridges),
        compared=lambda: compared(config),
    )


def _doctor(file: Path) -> list[str]:
    """What fails (rule 1)."""
    from device.cli.doctor import board, checks
    from engines.select import JETSON

    found = list(checks.all_checks(file))
    if JETSON.exists():
        found += board.board()
    return [f"{one.name}: {one.text}" for one in found if one.level == "fail"]


def _self_test(config: DeviceConfig) -> str:
    """What fails in the self-test of the configured detector, recogniser and screen."""
    from device.cli.doctor.self_test import engines

    return "; ".join(one.text for one in engines(config.vision) if one.level == "fail")


def loop_back(
    config: DeviceConfig,
    bridges: list[str],
    *,
    open_lines: Callable[[], LineLevels] | None = None,
    ask: Callable[[str], str] | None = None,
) -> Row:
    """The row of the bridges in place (rule 2). open_lines, ask: of gpiozero and the terminal where none is given."""
    from device.cli.doctor import gpio_command

    if not bridges:
        why = "no bridge was named: `lfr doctor gpio` names them, --bridge OUTPUT=INPUT checks them"
        return Row(LOOP_BACK, "not done", why)
    asked = ask or gpio_command.terminal()
    try:
        with closing(gpio_command.opened(config, open_lines and (lambda _: open_lines()))) as lines:
            found = list(gpio_command.walked(config, bridges, lines))
    except Unavailable as fault:
        return Row(LOOP_BACK, "fail", f"{fault}; is the service stopped?")
    asked(f"{PLUG_IN}: ")
    if failing := [f"{one.name}: {one.text}" for one in found if one.level == "fail"]:
        return Row(LOOP_BACK, "fail", "; ".join(failing))
    if left := [one.name for one in found if one.level == "warn"]:
        return Row(LOOP_BACK, "not done", f"not bridged: {', '.join(left)}")
    return Row(LOOP_BACK, "ok", f"{', '.join(bridges)}: each input follows its output, and no other")


def compared(config: DeviceConfig) -> Row:
    """The row of the plans (rule 3)."""
    from device.recognition.plans_needed import needed_plans
    from engines.select import GPU_BACKEND, installed

    if not installed(GPU_BACKEND):
        return Row(PLANS, "not here", "not run: no TensorRT")
    try:
        needed = needed_plans(config)
    except LfrError as fault:
        return Row(PLANS, "fail", str(fault))
    if not needed.plans:
        return Row(PLANS, "not here", f"not run: the engine is {needed.backend}, which has no plans")
    if needed.models is not None:
        return Row(PLANS, "not done", f"`lfr engines compare` does not read {needed.models} (vision.models_dir)")
    return _compared(needed)


def _compared(needed: NeededPlans) -> Row:
    done = set()
    for card, profile in needed.plans:
        size = f"{profile.height}x{profile.width}"
        if (card.name, size) in done or profile.frame is not None:
            continue
        sized = [] if card.input_size is not None else ["--size", size]
        wrong = _differs([needed.backend, REFERENCE, "--model", card.name, *sized])
        if wrong:
            return Row(PLANS, "fail", f"{card.name} {size}: {wrong}")
        done.add((card.name, size))
    listed = ", ".join(f"{name} {size}" for name, size in sorted(done))
    return Row(PLANS, "ok", f"{needed.backend} agrees with {REFERENCE}: {listed}")


def _differs(arguments: list[str]) -> str:
    """Why one comparison does not pass; empty when it does."""
    command = [
        sys.executable,
        "-I",
        "-m",
        "device.cli.main",
        "engines",
        "compare",
        *arguments,
        "--rounds",
        "5",
        "--json",
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=COMPARE_S, check=False)
        agrees = all(one["agrees"] for one in json.loads(done.stdout)["comparisons"])
    except subprocess.TimeoutExpired:
        return f"no answer within {COMPARE_S:.0f} s"
    except ValueError:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
        return f"it ended with status {done.returncode}: {last}"
    return "" if agrees else "differs by more than the card allows"


def _opened(camera: Camera) -> FrameSource:
    """A camera of the configuration, with its credential."""
    from device.config.camera_source import with_credential
    from device.config.model import recording_path
    from device.edges.camera.live import open_live, with_address
    from device.edges.camera.recording import RecordedSource

    if not camera.live:
        return RecordedSource(recording_path(camera.source), decode_threads=1)
    return open_live(with_address(with_credential(camera)))
