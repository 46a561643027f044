"""The gate runs every stage, adds up the tests, refuses skips and closes with one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import tools.dev.gate.__main__ as gate
from tools.dev.gate.stages import COMMANDS, ROOT, Stage, planned

pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository in place of this one."""
    monkeypatch.setattr(gate, "ROOT", tmp_path)
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    return tmp_path


def static(code: str, name: str = "static") -> Stage:
    return Stage(name, (sys.executable, "-c", code), "mend it")


def unit_tests(hardware: bool = False, installable: bool = False) -> Stage:
    argv = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit")
    return Stage("unit", argv, "read it", tests=True, hardware=hardware, installable=installable)


def run(stages: tuple[Stage, ...], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setitem(COMMANDS, "check", stages)
    return gate.main(["check", "--", *arguments])


def test_all_good_ends_with_the_count_of_tests(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (repository / "tests/unit/test_a.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    assert run((static("pass"), unit_tests()), monkeypatch) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "2 passed, 0 failed"


def test_a_failing_static_stage_shows_its_output_and_the_rest_still_runs(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (repository / "tests/unit/test_a.py").write_text("def test_a(): pass\n")
    assert run((static("print('line 7 is odd'); raise SystemExit(1)"), unit_tests()), monkeypatch) == 1
    out = capfd.readouterr().out
    assert "line 7 is odd" in out
    assert "FAILED  static: mend it" in out
    assert out.splitlines()[-1] == "1 passed, 1 failed"


def test_a_failing_test_is_counted(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (repository / "tests/unit/test_a.py").write_text("def test_a(): assert False\ndef test_b(): pass\n")
    assert run((unit_tests(),), monkeypatch) == 1
    assert capfd.readouterr().out.splitlines()[-1] == "1 passed, 1 failed"


def test_a_test_file_that_does_not_even_load_fails_the_gate(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (repository / "tests/unit/test_a.py").write_text("import no_such_module\n")
    assert run((unit_tests(),), monkeypatch) == 1
    assert capfd.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"


@pytest.mark.long
def test_a_skipped_test_fails_the_gate_except_for_hardware(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (repository / "tests/unit/test_a.py").write_text(
        "import pytest\n@pytest.mark.skip\ndef test_a(): pass\ndef test_b(): pass\n"
    )
    assert run((unit_tests(),), monkeypatch) == 1
    assert "1 test(s) were skipped" in capfd.readouterr().out
    assert run((unit_tests(hardware=True),), monkeypatch) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "1 passed, 0 failed, 1 skipped"


@pytest.mark.long
@pytest.mark.parametrize(("installable", "status"), [(True, 1), (False, 0)])
def test_a_complete_run_skips_only_what_no_machine_can_install(
    repository: Path, monkeypatch: pytest.MonkeyPatch, installable: bool, status: int
) -> None:
    (repository / "tests/unit/test_a.py").write_text("import pytest\n@pytest.mark.skip\ndef test_a(): pass\n")
    monkeypatch.setitem(COMMANDS, "check", (unit_tests(hardware=True, installable=installable),))
    assert gate.main(["check", "--complete"]) == status
    assert gate.main(["check"]) == 0


ONCE = """from pathlib import Path

def test_a():
    seen = Path("seen")
    first = not seen.exists()
    seen.touch()
    assert not first
"""


@pytest.mark.long
@pytest.mark.parametrize(("timed", "complete", "status"), [(True, True, 0), (True, False, 1), (False, True, 1)])
def test_a_test_on_a_real_clock_is_tried_once_more_in_a_complete_run_and_is_named(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    timed: bool,
    complete: bool,
    status: int,
) -> None:
    (repository / "tests/unit/test_once.py").write_text(ONCE)
    (repository / "tests/unit/test_good.py").write_text("def test_good(): pass\n")
    stage = Stage("unit", (sys.executable, "-m", "pytest", "-q", "tests/unit"), "read it", tests=True, timed=timed)
    monkeypatch.setitem(COMMANDS, "check", (stage,))
    assert gate.main(["check", *(["--complete"] if complete else [])]) == status
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == ("2 passed, 0 failed" if status == 0 else "1 passed, 1 failed")
    named = [line for line in lines if line.startswith("UNSTEADY  unit: tests.unit.test_once.test_a ")]
    assert len(named) == (status == 0)


@pytest.mark.long
def test_a_test_that_always_fails_fails_a_complete_run(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (repository / "tests/unit/test_a.py").write_text("def test_a(): assert False\ndef test_b(): pass\n")
    stage = Stage("unit", (sys.executable, "-m", "pytest", "-q", "tests/unit"), "read it", tests=True, timed=True)
    monkeypatch.setitem(COMMANDS, "check", (stage,))
    assert gate.main(["check", "--complete"]) == 1
    assert capfd.readouterr().out.splitlines()[-1] == "1 passed, 1 failed"


def test_a_folder_without_tests_is_reported_and_not_an_error(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run((unit_tests(),), monkeypatch) == 0
    assert "no tests in tests/unit yet" in capfd.readouterr().out


def test_arguments_reach_the_test_runner(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (repository / "tests/unit/test_a.py").write_text("def test_a(): pass\ndef test_b(): assert False\n")
    assert run((unit_tests(),), monkeypatch, "-k", "test_a and not test_b") == 0


def test_check_and_test_together_run_each_stage_once_and_tests_last() -> None:
    names = [stage.name for stage in planned(["check", "test"])]
    assert len(names) == len(set(names))
    assert names.index("unit files") < names.index("unit, contract, sim") < names.index("end to end")
    assert {s.name for s in COMMANDS["check"]} | {s.name for s in COMMANDS["test"]} == set(names)


def test_every_folder_of_tests_belongs_to_a_command() -> None:
    """A new folder, or a marked test, that no command runs would never fail."""
    arguments = {argument for command in COMMANDS.values() for stage in command for argument in stage.argv}
    folders = {f"tests/{p.name}" for p in (ROOT / "tests").iterdir() if p.is_dir() and any(p.rglob("test_*.py"))}
    assert folders <= arguments
    assert {"slow and not long", "not slow and not long", "long", "not long"} <= arguments
