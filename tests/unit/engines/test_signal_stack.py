"""A signal after engines were opened and closed reaches its handler, in whatever order they were closed."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, signal, time
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT
from engines.select import open_runner

signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
runners = [open_runner(card(RECOGNISER_DEFAULT), backend="openvino", threads=1) for _ in range(3)]
for runner in {order}:
    runner.close()
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("order", ["runners", "reversed(runners)", "[]"])
def test_a_signal_is_handled_after_engines_were_closed(order: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(order=order)], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
