"""The command's outside: exit statuses, what goes to which stream, and that nothing heavy is loaded for nothing."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from device.cli import extras
from device.cli import main as cli
from device.errors import ConfigError, RefusedByCondition, Unavailable

REPOSITORY = Path(__file__).resolve().parents[3]


def lfr(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "device.cli.main", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)


def with_handler(monkeypatch: pytest.MonkeyPatch, handler: Callable[..., int | None]) -> None:
    """Make `lfr config` run `handler`."""

    class Module:
        @staticmethod
        def register(commands: cli.Subparsers) -> None:
            commands.add_parser("config").set_defaults(run=handler)

    monkeypatch.setattr(importlib, "import_module", lambda name: Module)


@pytest.mark.parametrize("arguments", [["bogus"], ["config"], ["config", "mend"], ["status", "--colour"], []])
def test_a_command_line_without_sense_is_64(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 64
    assert capsys.readouterr().out == ""


def test_a_bad_configuration_is_78_with_every_problem_on_stderr(tmp_path: Path) -> None:
    file = tmp_path / "device.yaml"
    file.write_text("sight: demo\n")
    done = lfr("config", "check", str(file))
    assert done.returncode == 78
    assert done.stdout == ""
    assert "the nearest valid key is 'site'" in done.stderr
    assert "mqtt: missing" in done.stderr


def test_a_bad_configuration_as_json_still_fails(tmp_path: Path) -> None:
    file = tmp_path / "device.yaml"
    file.write_text("sight: demo\n")
    done = lfr("config", "check", "--json", str(file))
    assert done.returncode == 78
    assert not json.loads(done.stdout)["ok"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Unavailable("no broker"), 69),
        (RefusedByCondition("R15", "the sign is dark"), 77),
        (ConfigError("f", ("p",)), 78),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("ours"), 70),
    ],
)
def test_every_ending_has_its_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: BaseException, status: int
) -> None:
    def fail(_: object) -> int:
        raise fault

    with_handler(monkeypatch, fail)
    assert cli.main(["config"]) == status
    output = capsys.readouterr()
    assert output.out == ""
    assert str(fault) in output.err or status == 130
    assert ("Traceback" in output.err) == (status == 70)


@pytest.mark.parametrize(
    ("fault", "status"), [(Unavailable("no broker"), 69), (FileNotFoundError(2, "No such file", "x.yaml"), 69)]
)
def test_verbose_adds_the_traceback_of_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: Exception, status: int
) -> None:
    def fail(_: object) -> int:
        raise fault

    with_handler(monkeypatch, fail)
    assert cli.main(["config"]) == status
    assert "Traceback" not in capsys.readouterr().err
    assert cli.main(["--verbose", "config"]) == status
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m device.cli.main doctor --json | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert "BrokenPipe" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_that_cannot_be_imported_is_an_error_only_when_it_is_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = metadata.EntryPoint("broken", "device.cli.no_such_module:register", cli.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [broken])
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    assert "broken" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        cli.main(["broken"])
    assert caught.value.code == 69
    assert "no_such_module" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom device.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'cv2', 'av', 'pydantic', 'yaml', 'msgspec', 'paho'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_supervisor_loads_no_pixels() -> None:
    script = "import sys, device.supervisor.main\nprint({'numpy', 'cv2', 'av', 'engines'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


HIDDEN = ("starlette", "uvicorn", "securesystemslib", "matplotlib", "systemd", "pycuda")
"""What the extras bring, as on a machine that has none of them."""
WITHOUT = f"import sys\nsys.modules.update(dict.fromkeys({HIDDEN}))\nfrom device.cli.main import main\n"


@pytest.mark.slow
def test_every_command_explains_itself_without_the_extras() -> None:
    script = (
        "from device.cli.main import CORE, GROUP\nfrom importlib import metadata\n"
        "for noun in (*CORE, *(p.name for p in metadata.entry_points(group=GROUP))):\n"
        "    try:\n        main([noun, '--help'])\n"
        "    except SystemExit as ending:\n        assert not ending.code, noun\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_hub_without_its_extra_says_which_to_install(missing: str, tmp_path: Path) -> None:
    script = f"main(['hub', 'init', {str(tmp_path)!r}])\nsys.exit(main(['hub', 'serve', {str(tmp_path)!r}]))"
    hidden = f"import sys\nsys.modules[{missing!r}] = None\nfrom device.cli.main import main\n"
    done = subprocess.run(
        [sys.executable, "-c", hidden + script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 69, done.stderr
    assert done.stderr.endswith("which this command needs; install lfr-edge[hub]\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("starlette.routing", "install lfr-edge[hub]"),
        ("securesystemslib", "install lfr-edge[hub]"),
        ("matplotlib.figure", "install lfr-edge[evaluation]"),
        ("systemd.journal", "install lfr-edge[device-systemd]"),
        ("pycuda.driver", "install lfr-edge[device-cuda]"),
        ("numpy", ""),
        ("device.no_such_module", ""),
    ],
)
def test_a_missing_module_leads_to_the_extra_that_has_it(module: str, remedy: str) -> None:
    assert extras.remedy(module) == remedy
