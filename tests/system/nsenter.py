"""A command inside a booted nspawn machine, without its help: nsenter into the namespaces of its first process."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

NAMESPACES = ("-m", "-u", "-i", "-n", "-p", "-C")


def run_inside(
    leader: str, command: Sequence[str], environment: Mapping[str, str], *, check: bool, within_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a command as root beside the process `leader` (an id of the host), with only `environment`.

    RuntimeError with status and output when it fails and `check` is set; TimeoutExpired after `within_s`.
    """
    done = subprocess.run(
        ["nsenter", "-t", leader, *NAMESPACES, f"--root=/proc/{leader}/root", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=within_s,
        env=environment,
        cwd="/",
    )
    if check and done.returncode != 0:
        output = f"{done.stdout[-1500:]}{done.stderr[-1500:]}"
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {output}")
    return done
