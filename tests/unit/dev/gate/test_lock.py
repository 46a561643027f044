"""The lock satisfies pyproject.toml, holds no host, and each installation gets its own packages and no others."""

from __future__ import annotations

from typing import Any

import pytest

from tools.dev.gate import lock, locked, newest
from tools.dev.gate.locked import LOCK, BadLock
from tools.dev.gate.pyproject import read_pyproject

ONE, TWO = "1" * 64, "2" * 64
TEXT = f"""# a comment
# [base]
numpy==2.2.6 ; python_full_version < '3.11' \\
    --hash=sha256:{ONE} \\
    --hash=sha256:{TWO}
    # via project
numpy==2.4.6 ; python_full_version >= '3.11' \\
    --hash=sha256:{ONE}

# [base build]
setuptools==80.1 \\
    --hash=sha256:{ONE}

# [dev hub]
starlette==1.10.0 \\
    --hash=sha256:{ONE}
"""


def project(**changes: Any) -> dict[str, Any]:
    return {
        "build-system": {"requires": ["setuptools>=77"]},
        "project": {
            "name": "lfr-edge",
            "dependencies": changes.get("base", ["numpy>=2"]),
            "optional-dependencies": {"hub": changes.get("hub", ["starlette"]), "dev": ["lfr-edge[hub]"]},
        },
        "dependency-groups": {"build": changes.get("build", ["setuptools>=77"])},
    }


def test_the_committed_lock_satisfies_pyproject() -> None:
    assert list(lock.breaches(LOCK.read_text(encoding="utf-8"), read_pyproject())) == []


def test_a_lock_that_satisfies_everything_has_no_breach() -> None:
    assert list(lock.breaches(TEXT, project())) == []


@pytest.mark.parametrize(
    ("text", "changes", "breach"),
    [
        (TEXT, {"base": ["numpy>=2.3"]}, "[base] numpy>=2.3: 2.2.6 for Python 3.10 on x86_64"),
        (TEXT, {"base": ["numpy", "av>=12"]}, "[base] av>=12: no version for Python 3.12 on aarch64"),
        (TEXT, {"base": ["numpy", "av; platform_machine == 'x86_64'"]}, "no version for Python 3.10 on x86_64"),
        (TEXT, {"base": ["numpy", "starlette"]}, "[base] starlette: no version"),
        (TEXT, {"hub": ["starlette<1"]}, "[dev] starlette<1: 1.10.0"),
        (TEXT, {"build": ["setuptools>=70"]}, "build-system.requires"),
        (TEXT.replace(" ; python_full_version >= '3.11'", ""), {}, "2.2.6 and 2.4.6 for Python 3.10"),
        (TEXT.replace("# via project", "# from an-index.org/simple"), {}, "names a host"),
        (TEXT + "--index-url file:index\n", {}, "is no pinned version"),
        (TEXT + "uv==0.9\n", {}, "uv 0.9 has no hash"),
    ],
)
def test_every_breach_is_named(text: str, changes: dict[str, Any], breach: str) -> None:
    assert any(breach in line for line in lock.breaches(text, project(**changes)))


def test_a_requirement_of_one_processor_is_not_missed_on_the_other() -> None:
    found = list(lock.breaches(TEXT, project(base=["numpy", "av; platform_machine == 'x86_64'"])))
    assert found
    assert not any("aarch64" in line for line in found)


def test_a_selection_has_base_and_the_sections_of_its_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = locked.locked(TEXT)
    monkeypatch.setattr(locked, "locked", lambda: entries)
    names = {
        extras: [e.name for e in locked.locked() if e.text in locked.selection(extras)] for extras in ((), ("hub",))
    }
    assert names == {(): ["numpy", "numpy", "setuptools"], ("hub",): ["numpy", "numpy", "setuptools", "starlette"]}
    assert "numpy" not in locked.selection(["build"], base=False)
    assert "starlette" not in locked.selection(["dev"], without=["starlette"])
    with pytest.raises(ValueError, match="no section van; it has base, build, dev, hub"):
        locked.selection(["van"])


def test_an_entry_has_its_marker_hashes_and_sections() -> None:
    first = locked.locked(TEXT)[0]
    assert (first.name, first.version, first.marker) == ("numpy", "2.2.6", "python_full_version < '3.11'")
    assert first.sha256 == (ONE, TWO)
    assert first.sections == {"base"}


def test_a_line_that_pip_would_obey_and_nobody_checked_is_refused() -> None:
    with pytest.raises(BadLock, match=r"requirements\.lock:2"):
        locked.locked("# [base]\n--extra-index-url file:index\n")


def test_a_device_gets_neither_the_hub_nor_pictures_nor_tools() -> None:
    names = {line.partition("==")[0] for line in locked.selection(["device"]).splitlines()}
    assert {"numpy", "tuf", "systemd-python", "pycuda"} <= names
    assert not {"starlette", "uvicorn", "matplotlib", "pytest", "mypy", "uv"} & names


def test_pycuda_and_systemd_can_be_installed_without_each_other() -> None:
    cuda, systemd = locked.selection(["device-cuda"]), locked.selection(["device-systemd"])
    assert ("\npycuda==" in cuda, "\nsystemd-python==" in cuda) == (True, False)
    assert ("\npycuda==" in systemd, "\nsystemd-python==" in systemd) == (False, True)


def test_uv_runs_without_what_configures_it_or_pip_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "file:mirror")
    monkeypatch.setenv("PIP_FIND_LINKS", "wheels")
    assert not [name for name in lock.environment() if name.startswith(("UV_", "PIP_"))]
    assert "PATH" in lock.environment()


def test_newest_names_what_differs_from_the_lock() -> None:
    installed = "NumPy==2.9\nstarlette==1.10.0\nlfr-edge==0.1.0\n"
    assert newest.differences(installed, locked.locked(TEXT)) == ["NumPy 2.9, locked 2.2.6 or 2.4.6"]
