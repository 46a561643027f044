"""The gate: `python -m tools.dev.gate check test -- [pytest arguments]`.

1. Every stage runs, also after a failure, so that one run shows every failure.
2. Static stages run two at a time and show their output only when they fail; test stages run one by one with their
   output, the fast ones with their files side by side (ARGS='-n 0' for one process, as a debugger needs).
3. A test that was skipped fails the gate outside tests/gpu, tests/system and tests/browser; with --complete (CI) it
   does so everywhere but in tests/gpu.
4. The last line is `N passed, N failed`: tests, with each failed stage that is not a test counted as one failure.
5. With --complete, up to AGAIN_MOST failed tests of a stage on a real clock are tried once more. One that passes then
   counts as passed, and the lines before the last name it: its cause is to be found, in the test or in the product.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tools.dev.gate.stages import BIN, COMMANDS, ROOT, Stage, planned

NO_TESTS_COLLECTED = 5
TESTS_FAILED = 1
EXIT_INTERRUPTED = 130
STATIC_AT_ONCE = 2
AGAIN_MOST = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one stage ended; counts are of tests, `why` is empty on success, `unsteady` passed at the second try."""

    stage: Stage
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    why: str = ""
    unsteady: tuple[str, ...] = ()


def main(argv: list[str]) -> int:
    """Run the commands' stages; 0 when all succeeded, 1 otherwise, 130 when interrupted."""
    ours, _, theirs = (
        (argv, "", []) if "--" not in argv else (argv[: argv.index("--")], "--", argv[argv.index("--") + 1 :])
    )
    parser = argparse.ArgumentParser(prog="python -m tools.dev.gate", description=__doc__.splitlines()[0])
    parser.add_argument("command", nargs="+", choices=sorted(COMMANDS))
    parser.add_argument("--complete", action="store_true", help="a test that lacks a program fails (rule 3)")
    options = parser.parse_args(ours)
    commands = options.command
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    stages = planned(commands)
    try:
        outcomes = run_static([s for s in stages if not s.tests])
        for stage in (s for s in stages if s.tests):
            again = options.complete and stage.timed
            outcomes.append(run_tests(stage, theirs, skips=may_skip(stage, options.complete), again=again))
        if theirs and any(s.tests for s in stages) and not any(o.passed + o.failed for o in outcomes):
            print(f"gate: no test matches {' '.join(theirs)}", file=sys.stderr)
            outcomes.append(Outcome(stages[-1], 0.0, failed=1, why="give ARGS that select a test"))
    except KeyboardInterrupt:
        print("gate: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return summarise(outcomes, commands)


def run_static(stages: list[Stage]) -> list[Outcome]:
    """Rule 2: a few at once, in the order of the table."""
    with ThreadPoolExecutor(STATIC_AT_ONCE) as pool:
        return list(pool.map(run_one_static, stages))


def run_one_static(stage: Stage) -> Outcome:
    """Run a static stage; print one line, and its output on failure."""
    begun = time.monotonic()
    done = subprocess.run(
        stage.argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    seconds = time.monotonic() - begun
    if done.returncode == 0:
        print(f"ok      {stage.name}  {seconds:.1f} s", flush=True)
        return Outcome(stage, seconds)
    output = done.stdout.decode(errors="replace").rstrip()
    print(f"{output}\nFAILED  {stage.name}: {stage.remedy}", flush=True)
    return Outcome(stage, seconds, why=stage.remedy)


def may_skip(stage: Stage, complete: bool) -> bool:
    """Rule 3."""
    return stage.hardware and not (complete and stage.installable)


def run_tests(stage: Stage, arguments: list[str], *, skips: bool, again: bool = False) -> Outcome:
    """Run a test stage with its output and read its counts from the report that pytest writes (rule 5: `again`)."""
    folders = [a for a in stage.argv if a.startswith("tests/")]
    present = [f for f in folders if any((ROOT / f).rglob("test_*.py"))]
    if not present:
        print(f"none    {stage.name}: no tests in {', '.join(folders)} yet", flush=True)
        return Outcome(stage, 0.0)
    report = ROOT / ".cache" / "gate" / f"{stage.name.replace(', ', '-').replace(' ', '-')}.xml"
    command = [a for a in stage.argv if a not in folders] + present + arguments
    print(f"tests   {stage.name}", flush=True)
    begun = time.monotonic()
    status = reported(command, report)
    passed, failed, skipped = counts(report)
    unsteady: tuple[str, ...] = ()
    if again and status == TESTS_FAILED and 0 < failed <= AGAIN_MOST:
        names = failures(report)
        print(f"again   {', '.join(names)}", flush=True)
        status = reported([*command, "--last-failed", "--last-failed-no-failures=none"], report)
        passed_now, failed, _ = counts(report)
        passed, unsteady = passed + passed_now, names if status == 0 else ()
    why = ""
    if status == NO_TESTS_COLLECTED and arguments:
        pass
    elif status != 0:
        failed, why = max(failed, 1), stage.remedy
    elif skipped and not skips:
        why = f"{skipped} test(s) were skipped; here every test runs or fails"
    seconds = time.monotonic() - begun
    print(f"{'FAILED' if why else 'ok':6}  {stage.name}  {seconds:.1f} s", flush=True)
    return Outcome(stage, seconds, passed, failed, skipped, why, unsteady)


def reported(command: list[str], report: Path) -> int:
    """Run pytest with its output; its exit status. Its JUnit report is at `report` afterwards, or absent."""
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    command = [*command, f"--junitxml={report}"]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode


def failures(report: Path) -> tuple[str, ...]:
    """Names of the tests that failed, as `module.test[parameters]`."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    broken = (case for case in cases if case.find("failure") is not None or case.find("error") is not None)
    return tuple(dict.fromkeys(f"{case.get('classname', '')}.{case.get('name', '')}" for case in broken))


def counts(report: Path) -> tuple[int, int, int]:
    """Passed, failed (with errors) and skipped of a JUnit report; zeros when pytest could not even write it."""
    if not report.exists():
        return 0, 0, 0
    suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    total, failures, errors, skipped = (
        sum(int(suite.get(key, "0")) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    )
    return total - failures - errors - skipped, failures + errors, skipped


def summarise(outcomes: list[Outcome], commands: list[str]) -> int:
    """Print what failed with its remedy, then the closing line (rule 4)."""
    broken = [o for o in outcomes if o.why]
    for outcome in outcomes:
        for name in outcome.unsteady:
            print(f"UNSTEADY  {outcome.stage.name}: {name} passed at its second try alone; find out why")
    for outcome in broken:
        print(f"FAILED  {outcome.stage.name}: {outcome.why}")
    took = sum(o.seconds for o in outcomes)
    print(f"make {' and '.join(commands)}: {'failed' if broken else 'all good'} after {took:.0f} s of work")
    passed, skipped = sum(o.passed for o in outcomes), sum(o.skipped for o in outcomes)
    failed = sum(o.failed or (1 if o.why else 0) for o in outcomes)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
