"""`lfr acceptance`: one page of what this board does, signed by the board's own key.

1. It runs with the service stopped: the sign, its sensor and the cameras are this program's meanwhile.
2. Every row is measured here and now; what only a person can see is printed as a box to tick, and counts for nothing.
   A row that could be measured here and was not is `not done`: such a sheet is incomplete, and does not pass.
3. The sheet is JSON in one canonical form (sorted keys, no blanks) and an Ed25519 signature of the device's audit key;
   the hub knows the public half from the birth certificate. It holds no picture and nothing of a person.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from device.errors import BadData, GpioUnavailable, LfrError
from engines.errors import EnginesError

if TYPE_CHECKING:
    from device.audit.key import DeviceKey
    from device.config.model import Camera, DeviceConfig
    from device.ports.clock import Clock
    from device.ports.gpio import Gpio
    from device.ports.source import FrameSource

FORMAT = 2
FRAMES = 50
PULSES = 3
SETTLE_S = 0.2
BY_HAND = (
    "the sign can be read from where the public comes from",
    "STOP pressed: the sign goes dark within a second, and the page says so",
    "the camera's zone is where the notice says it is",
    "a listed volunteer walks by twice: two alerts, each judged on the page",
    "cable of the sensor pulled: recognition stops within a second",
    "power cut and back: the device is ready again, and nothing personal is left",
)
Level = Literal["ok", "fail", "not done", "not here"]
PASSING = frozenset({"ok", "not here"})


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the sheet."""

    what: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What the rows are measured with; tests give fakes that behave.

    lines      opens the sign and its sensor;  source  opens one camera
    self_test  what is wrong with the configured engines, empty when nothing is;  doctor  what `lfr doctor` fails on
    loop_back  rows of the header's loop-back, with its own lines;  compared  the row of the plans and their reference
    """

    lines: Callable[[], Gpio]
    source: Callable[[Camera], FrameSource]
    clock: Clock
    self_test: Callable[[], str]
    doctor: Callable[[], list[str]]
    loop_back: Callable[[], Row]
    compared: Callable[[], Row]


def rows(config: DeviceConfig, parts: Parts) -> Iterator[Row]:
    """Every measured row, in order."""
    failing = parts.doctor()
    yield Row("doctor", "fail" if failing else "ok", "; ".join(failing) or "no line fails")
    if config.lines.driver == "simulated":
        yield Row("gpio loop-back", "not here", "the lines are simulated: there is no header")
        yield Row("sign", "not here", "the lines are simulated: no sign is driven")
    else:
        yield parts.loop_back()
        yield from _sign(parts)
    for camera in config.cameras:
        yield _camera(camera, parts)
    yield _engine(parts)
    yield parts.compared()


def _sign(parts: Parts) -> Iterator[Row]:
    """The sign dark, lit, and through coded pulses: the loop from relay to sensor."""
    from device.supervisor.sign.pulse import draw_code, play

    try:
        lines = parts.lines()
    except LfrError as fault:
        yield Row("sign", "fail", f"{fault}; is the service stopped?")
        return
    try:
        for lit in (False, True):
            lines.drive_sign(lit)
            asyncio.run(asyncio.sleep(SETTLE_S))
            sensed = lines.sign_sensed()
            name = "lit" if lit else "dark"
            text = f"sensed {'lit' if sensed else 'dark'} while driven {name}"
            yield Row(f"sign {name}", "ok" if sensed is lit else "fail", text)
        lags = []
        for number in range(PULSES):
            code = draw_code(random.Random())
            answer = asyncio.run(play(code, lines.drive_sign, lines.sign_sensed, parts.clock, lambda: True))
            if answer is None or not answer.followed:
                yield Row("sign pulse", "fail", f"pulse {number + 1}: {answer.finding if answer else 'put out'}")
                return
            lags.append(answer.lag_s or 0.0)
        yield Row("sign pulse", "ok", f"{PULSES} coded pulses followed, slowest edge {max(lags) * 1000:.0f} ms")
    except GpioUnavailable as fault:
        yield Row("sign", "fail", str(fault))
    finally:
        lines.close()


def _camera(camera: Camera, parts: Parts) -> Row:
    """FRAMES frames, their size and rate; each frame is let go at once."""
    what = f"camera {camera.id}"
    try:
        source = parts.source(camera)
    except LfrError as fault:
        return Row(what, "fail", str(fault))
    try:
        begun, count, size = parts.clock.monotonic(), 0, ""
        for frame in source.frames():
            count, size = count + 1, f"{frame.width}x{frame.height}"
            if count == FRAMES:
                break
        seconds = max((parts.clock.monotonic() - begun) / 1e9, 1e-9)
        text = f"{count} frames of {size} in {seconds:.1f} s"
        return Row(what, "ok" if count == FRAMES else "fail", text)
    except LfrError as fault:
        return Row(what, "fail", str(fault))
    finally:
        source.close()


def _engine(parts: Parts) -> Row:
    """The networks' answers against the golden tensors."""
    try:
        wrong = parts.self_test()
    except (LfrError, EnginesError) as fault:
        return Row("engine", "fail", str(fault))
    return Row("engine", "fail" if wrong else "ok", wrong or "agrees with the golden tensors")


def sheet(facts: dict[str, str], found: list[Row], at: datetime, key: DeviceKey) -> dict[str, Any]:
    """The signed sheet. facts: what the card was flashed with; at: by this board's clock."""
    content = {
        "format": FORMAT,
        "at": at.isoformat(timespec="seconds"),
        "facts": facts,
        "rows": [asdict(row) for row in found],
        "passed": all(row.level in PASSING for row in found),
        "key": key.public,
    }
    return {**content, "signature": key.sign(canonical(content)).hex()}


def canonical(content: dict[str, Any]) -> bytes:
    """The bytes that are signed (rule 3)."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def check_sheet(text: str, public: str) -> dict[str, Any]:
    """A sheet whose signature is that of the device with this public key. Raises BadData."""
    from device.audit.key import signed_by

    try:
        document = json.loads(text)
        signature = bytes.fromhex(document.pop("signature"))
    except (ValueError, KeyError, AttributeError, TypeError) as fault:
        raise BadData(f"this is no acceptance sheet: {fault}") from fault
    if document.get("key") != public or not signed_by(public, canonical(document), signature):
        raise BadData("the sheet is not signed by that device, or it was changed")
    return {**document, "signature": signature.hex()}


def printed(document: dict[str, Any]) -> str:
    """The page for people."""
    facts = document["facts"]
    head = f"Acceptance of {facts['device']} ({facts['site']}), serial number {facts['serial']}, {document['at']}"
    lines = [head, f"lfr-edge {facts['version']} on {facts['board']}, kit {facts['kit'][:16]}", ""]
    lines += [f"{row['level']:9} {row['what']:16} {row['text']}" for row in document["rows"]]
    lines += ["", "By hand (tick):", *(f"[ ] {text}" for text in BY_HAND), ""]
    levels = {row["level"] for row in document["rows"]}
    incomplete = "INCOMPLETE: something was not done, see above"
    failed = "SOMETHING FAILS: see above" if "fail" in levels else incomplete
    verdict = "everything measured passes" if document["passed"] else failed
    lines += [f"{verdict}. Engineer: ____________________  Van operator: ____________________"]
    lines += [f"key {document['key']}", f"signature {document['signature']}"]
    return "\n".join(lines)
