"""A hardware watchdog on a real kernel (softdog): `lfr doctor` sees whether somebody feeds it."""

from __future__ import annotations

import os

from device.cli.doctor import health

NAME = "/dev/watchdog0"
MAGIC = b"V"
"""Closes it without a reset (Documentation/watchdog/watchdog-api.rst, magic close)."""


def state() -> str:
    (found,) = health.hardware_watchdog(on_board=True)
    return found.text


def test_a_watchdog_is_seen_idle_fed_and_idle_again() -> None:
    assert state() == "Software Watchdog: not in use"
    watchdog = os.open(NAME, os.O_WRONLY)
    try:
        os.write(watchdog, b"\0")
        assert state().startswith("Software Watchdog: resets after ")
    finally:
        os.write(watchdog, MAGIC)
        os.close(watchdog)
    assert state() == "Software Watchdog: not in use"
