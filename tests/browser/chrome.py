"""A headless Chromium that a test drives by the DevTools protocol over a pipe: keys, sizes, scripts, pictures."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

WITHIN_S = 60.0
BETWEEN = ("default execution context", "Inspected target navigated")
"""Answers while one document is replaced by the next."""

HOLD = """var running = performance.now.bind(performance), held = running(), asked = [];
performance.now = () => held;
{ const fetching = window.fetch; window.fetch = (path, how) => { asked.push(path); return fetching(path, how); }; }"""


class Chrome:
    """One page; a context manager."""

    def __init__(self, chromium: str, profile: Path, url: str, width: int = 1440, height: int = 1000) -> None:
        commands, self._to = os.pipe()
        self._from, answers = os.pipe()
        program = f'exec 3<&{commands} 4>&{answers}; exec "$0" "$@"'
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                program,
                chromium,
                *arguments,
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
            ],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._number, self._left, self._session = 0, b"", ""
        target = self.call("Target.createTarget", url=url)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.size(width, height)

    def __enter__(self) -> Chrome:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one DevTools command."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + WITHIN_S
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                if any(text in str(answer.get("error")) for text in BETWEEN):
                    return {"result": {"value": None}}  # between two documents
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str) -> Any:
        """Poll until the expression is true; its value."""
        deadline = time.monotonic() + WITHIN_S
        while not (value := self.ask(expression)):
            assert time.monotonic() < deadline, f"never true: {expression}; {self.ask('document.body.innerText')}"
            time.sleep(0.05)
        return value

    def settled(self) -> None:
        """Wait until no transition and no finite animation runs: colours are then what they stay."""
        running = "a => a.playState === 'running' && a.effect.getComputedTiming().iterations !== Infinity"
        self.until(f"!document.getAnimations().some({running})")

    def scheme(self, scheme: str) -> None:
        """Prefer `light` or `dark` colours; until they are there."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.until(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
        self.settled()

    def key(self, key: str) -> None:
        """Press and release one key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" else "")

    def press(self, key: str) -> None:
        """Press and release a named key (Tab, Enter, ArrowLeft …) as a keyboard does, with its default action."""
        text = {"Enter": "\r", "Space": " "}.get(key, "")
        named = " " if key == "Space" else key
        codes = {
            "Tab": 9,
            "Enter": 13,
            "Space": 32,
            "Escape": 27,
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
            "ArrowDown": 40,
        }
        event = {"key": named, "code": key, "windowsVirtualKeyCode": codes[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector: str) -> None:
        """Click in the middle of an element, once it stays where it is: a page that has just another size moves it."""
        middle = f"(b => [b.x + b.width / 2, b.y + b.height / 2])({at(selector)}.getBoundingClientRect())"
        box, deadline = self.ask(middle), time.monotonic() + WITHIN_S
        while (now := self.ask(middle)) != box and time.monotonic() < deadline:
            box = now
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def tap(self, selector: str) -> None:
        """Touch the middle of an element with a finger; it is scrolled into view first."""
        self.ask(f"{at(selector)}.scrollIntoView({{block: 'center'}})")
        x, y = self.ask(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({at(selector)}.getBoundingClientRect())")
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def touch_only(self) -> None:
        """A phone or tablet: fingers, no mouse."""
        self.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=1)

    def hold_clock(self) -> None:
        """Stop the page's clock, and note what it asks the hub to change: how busy this machine is has no effect."""
        self.ask(HOLD)

    def let_clock_run(self) -> None:
        """From here on it runs again."""
        self.ask("{ const ahead = held - running(); performance.now = () => running() + ahead; }")

    def advance(self, seconds: float) -> None:
        """Set a stopped clock ahead, and draw what is then to be seen."""
        self.ask(f"held += {seconds * 1000}; draw(view)")

    def asked(self) -> list[str]:
        """Where the page sent requests to since its clock was stopped."""
        return list(self.ask("asked"))

    def size(self, width: int, height: int) -> None:
        """Give the page another size."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.until(f"innerWidth === {width} && innerHeight === {height}")

    def picture(self, file: Path) -> None:
        """What is on the screen, as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            self._left += os.read(self._from, 1 << 20)
        line, _, self._left = self._left.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer


def at(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})"
