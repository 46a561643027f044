"""SIGHUP reads again what can be read again: it ends nothing, and recognition goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from device.errors import ConfigError
from device.supervisor.main import _handle_signals
from device.supervisor.state_machine import State
from tests.sim.rig import MakeRig, Rig


def test_a_reload_reads_certificates_and_repository_again_and_recognition_goes_on(
    rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(r: Rig) -> float:
        await r.recognising()
        looks = r.repository.looks
        r.device.reload()
        took = await r.until(lambda: r.repository.looks > looks)
        assert r.broker.reloads == 1
        await asyncio.sleep(5)
        assert r.is_in(State.RECOGNISING)
        assert len(r.launcher.workers) == 1
        return took

    caplog.set_level("INFO")
    assert rig(live=True).play(scene) < 0.1
    assert "reload.done changed_and_needs_a_restart=nothing" in caplog.text


def test_a_changed_configuration_is_named_and_not_taken(rig: MakeRig, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        r.reread = lambda: r.config.model_copy(update={"site": "elsewhere", "cameras": ()})
        r.device.reload()
        await asyncio.sleep(1)
        assert r.is_in(State.RECOGNISING)

    caplog.set_level("INFO")
    rig(live=True).play(scene)
    assert 'changed_and_needs_a_restart="site, cameras"' in caplog.text


@pytest.mark.parametrize("what", ["configuration", "certificates"])
def test_what_cannot_be_used_is_logged_and_the_device_goes_on(
    rig: MakeRig, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    async def scene(r: Rig) -> None:
        await r.recognising()
        if what == "configuration":

            def refuse() -> Any:
                raise ConfigError("/etc/lfr/device.yaml", ("cameras: missing; this key is required",))

            r.reread = refuse
        else:
            r.broker.bad_certificates = "the key is of another certificate"
        r.device.reload()
        await asyncio.sleep(5)
        assert r.is_in(State.RECOGNISING)

    rig(live=True).play(scene)
    assert "reload.refused" in caplog.text
    assert ("this key is required" if what == "configuration" else "another certificate") in caplog.text


def test_the_signal_itself_reloads_and_does_not_end_the_program() -> None:
    class Device:
        supervisor: Any = None
        reloads = 0

        def reload(self) -> None:
            self.reloads += 1

    device: Any = Device()
    device.supervisor = type("Loop", (), {"leave": lambda status: None})

    async def scene() -> None:
        _handle_signals(device)
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)

    asyncio.run(scene())
    assert device.reloads == 1
