"""`lfr hub serve` under a service manager: ready, alive, status, stopping; the address's key never in the journal."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from device.domain.finding import Mode
from device.edges.service.systemd import NoServiceManager
from device.errors import ConfigError, Unavailable
from tools.hub.notify import notify
from tools.hub.site import init_hub
from tools.hub.storage.folder import HubFolder


def test_ready_comes_with_the_server_and_the_watchdog_is_fed_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.hub.notify.ALIVE_S", 0.02)
    service, server = NoServiceManager(), SimpleNamespace(started=False, should_exit=False)

    async def scene() -> None:
        task = asyncio.create_task(notify(service, cast(Any, server), lambda: "3 cases open"))
        await asyncio.sleep(0.1)
        assert not service.is_ready
        server.started = True
        while service.beats <= 3:
            await asyncio.sleep(0.01)
        assert (service.is_ready, service.last_status) == (True, "3 cases open")
        server.should_exit = True
        await task

    asyncio.run(asyncio.wait_for(scene(), 60.0))
    assert service.is_stopping


@pytest.mark.slow
def test_a_key_that_is_given_is_the_pages_and_is_not_printed(tmp_path: Path) -> None:
    root, key = tmp_path / "van", tmp_path / "console.key"
    init_hub(root, site="demo", devices=(), mode=Mode.DEMO)
    key.write_text("0123456789abcdef" * 3 + "\n")
    command = [sys.executable, "-m", "device.cli.main", "hub", "serve", str(root), "--console-key", str(key)]
    serve = subprocess.Popen(
        [*command, "--port", "0", "--broker-port", "0", "--repository-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serve.stdout is not None
        first = serve.stdout.readline()
        assert json.loads(first)["url"].endswith("/")
        serve.send_signal(signal.SIGTERM)
        out, err = serve.communicate(timeout=300)
    finally:
        serve.kill()
    assert "0123456789abcdef" not in first + out + err
    assert serve.returncode == 0


@pytest.mark.parametrize(("content", "fault"), [("short", ConfigError), ("x y" * 20, ConfigError), (None, Unavailable)])
def test_a_key_that_could_be_guessed_is_refused(tmp_path: Path, content: str | None, fault: type[Exception]) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    with pytest.raises(fault):
        HubFolder(tmp_path).console_key(file)
