"""GPIO and V4L2 on a real kernel's devices: one boot of an emulated machine runs the tests of `inside/`.

Each test in there is a test here, under its own name, with what it said when it fails. The machine is made of Debian's
packages (emulated_parts.py); the first making downloads 220 MB and prints what it does.
"""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.system.conftest import EmulatedMachines

pytestmark = pytest.mark.system
INSIDE = Path(__file__).parents[1] / "inside"
FILES = ("lines.py", "sign.py", "loop_back.py", "camera.py", "watchdog.py")
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONPATH": str(Path(__file__).parents[3]),
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}


def named() -> Iterator[str]:
    """The tests of `inside/`, by file and function, read from the source: nothing in there can be imported here."""
    for file in FILES:
        for node in ast.parse((INSIDE / file).read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{file.removesuffix('.py')}-{node.name.removeprefix('test_')}"


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, emulated: EmulatedMachines
) -> dict[str, list[ElementTree.Element]]:
    """What one boot found: the cases of each test, by the names above. Skipped where no machine can be made."""
    if reason := emulated.cannot():
        pytest.skip(reason)
    scratch = tmp_path_factory.mktemp("emulated")
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        machine = emulated.machine(scratch)
    files = [str(INSIDE / file) for file in FILES]
    options = ["-p", "no:cacheprovider", "-q", "--tb=short", f"--junitxml={scratch / 'report.xml'}"]
    begun = time.monotonic()
    machine.run([sys.executable, "-m", "pytest", *options, "-o", "junit_family=xunit1", *files], ENVIRONMENT)
    assert (scratch / "report.xml").exists(), f"after {time.monotonic() - begun:.0f} s: {machine.output()[-3000:]}"
    cases: dict[str, list[ElementTree.Element]] = {}
    for case in ElementTree.parse(scratch / "report.xml").getroot().iter("testcase"):
        file = case.get("file", "").rpartition("/")[2].removesuffix(".py")
        name = case.get("name", "").partition("[")[0].removeprefix("test_")
        cases.setdefault(f"{file}-{name}", []).append(case)
    return cases


@pytest.mark.parametrize("name", list(named()))
def test_inside(report: dict[str, list[ElementTree.Element]], name: str) -> None:
    assert name in report, f"it did not run; what ran: {sorted(report)}"
    for case in report[name]:
        wrong = [found for found in case if found.tag in {"failure", "error", "skipped"}]
        assert not wrong, f"{case.get('name')}: {wrong[0].tag}: {wrong[0].text or wrong[0].get('message')}"
