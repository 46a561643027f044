"""The published AsyncAPI document as the AsyncAPI Initiative's own parser reads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device.hub_api import contract
from engines.places import cache_dir
from tools.dev.gate.system_packages import NODE, NPM, find, provide, say

pytestmark = pytest.mark.system
HERE = Path(__file__).parent / "asyncapi"


@pytest.fixture(scope="module")
def parser() -> Path:
    """A folder with the parser, installed by the lock beside this file, and the script that runs it."""
    for program in (NODE, NPM):
        if find(program, cache_dir()) is None and (os.geteuid() != 0 or shutil.which("apt-get") is None):
            pytest.skip(f"needs {program.command}: as root, apt-get install {program.package}")
        provide(program, cache_dir())
    place = cache_dir() / "asyncapi"
    place.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "package-lock.json").read_bytes()
    stamp = place / "installed.json"
    if not stamp.exists() or stamp.read_bytes() != lock:
        say("installing the AsyncAPI parser by its lock (54 MB, once)")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, place / name)
        command = [find(NPM, cache_dir()) or "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        stamp.write_bytes(lock)
    shutil.copy(HERE / "parse.mjs", place / "parse.mjs")
    return place


def parsed(parser: Path, file: Path) -> dict[str, Any]:
    """What the parser finds: `errors`, and what the document `holds` (None when it is not valid)."""
    command = [find(NODE, cache_dir()) or "node", "parse.mjs", file]
    done = subprocess.run(command, cwd=parser, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_parser_accepts_the_document_and_finds_server_security_channels_and_replies(parser: Path) -> None:
    found = parsed(parser, contract.FOLDER / contract.ASYNCAPI)
    assert found["errors"] == []
    assert found["holds"] == {
        "version": "3.0.0",
        "channels": [channel.name for channel in contract.CHANNELS],
        "operations": len(contract.CHANNELS),
        "servers": ["van"],
        "security": ["X509"],
        "replies": 1,
    }


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["components"]["securitySchemes"]["certificate"].__setitem__("type", "trust"),
        lambda d: d["servers"]["van"].pop("host"),
        lambda d: d["servers"]["van"]["bindings"]["mqtt"].__setitem__("keepAlive", "often"),
        lambda d: d["operations"]["sendAlert"]["bindings"]["mqtt"].__setitem__("qos", 3),
        lambda d: d["operations"]["receiveCommand"]["reply"]["channel"].__setitem__("$ref", "#/channels/nothing"),
        lambda d: d["channels"]["command"]["parameters"]["command"].__setitem__("enum", "stop"),
    ],
    ids=["security", "server", "session", "qos", "reply", "commands"],
)
def test_it_refuses_a_document_with_a_mistake_in_that_part(
    parser: Path, tmp_path: Path, spoil: Callable[[dict[str, Any]], object]
) -> None:
    shutil.copytree(contract.FOLDER, tmp_path / "schemas")
    file = tmp_path / "schemas" / contract.ASYNCAPI
    document = json.loads(file.read_text())
    spoil(document)
    file.write_text(json.dumps(document))
    assert parsed(parser, file)["errors"] != []
