"""One vision worker as a process: started by exec over a socketpair, controlled by wire messages, killed if need be.

Never fork (CUDA does not survive it). The worker has a session of its own, so a Ctrl-C in a terminal reaches only the
supervisor, which stops it in order; if the supervisor dies, the worker reads end-of-file and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from typing import Protocol

from device.edges.sandbox.hardening import worker_environment
from device.errors import InternalError, LinkBroken
from device.wire.link import HEADER, MAX_BODY_BYTES, FromWorker, ToWorker, pack, unpack_from_worker

COMMAND = (sys.executable, "-m", "device.worker")


class WorkerLink(Protocol):
    """One running worker. `receive` gives None at end-of-file and raises LinkBroken for what is no message of ours."""

    def send(self, message: ToWorker) -> None: ...

    async def receive(self) -> FromWorker | None: ...

    def kill(self) -> None: ...

    async def ended(self) -> int: ...


class Launcher(Protocol):
    """Starts a worker for one camera."""

    async def __call__(self, camera_id: str) -> WorkerLink: ...


class ProcessLink:
    """The link to a real process over asyncio streams."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._pidfd = _pidfd(process.pid)
        self._reader = reader
        self._writer = writer

    def send(self, message: ToWorker) -> None:
        """Queue one message; ignored when the worker is gone, which `receive` reports."""
        if not self._writer.is_closing():
            self._writer.write(pack(message))

    async def receive(self) -> FromWorker | None:
        announced = False
        try:
            (length,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            announced = True
            if length > MAX_BODY_BYTES:
                raise LinkBroken(f"the worker announced {length} bytes, more than {MAX_BODY_BYTES}")
            return unpack_from_worker(await self._reader.readexactly(length))
        except asyncio.IncompleteReadError as fault:
            if fault.partial or announced:
                raise LinkBroken("the worker's last message is truncated") from fault
            return None
        except ConnectionError:
            return None

    def kill(self) -> None:
        """End the process at once, if it still runs.

        By pidfd: asyncio's own `kill` polls first, which takes the exit status away from asyncio's child watcher.
        """
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def ended(self) -> int:
        """The exit status (negative: a signal), once the process is gone; closes the link first, which means stop."""
        self._writer.close()
        status = await self._process.wait()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        return status


def _pidfd(pid: int) -> int | None:
    """A pidfd, so that the process id cannot be reused by another process; None if the process is gone already."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


class ProcessLauncher:
    """Starts workers by exec. `command` gets the number of its end of the socketpair as last argument."""

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._command = command

    async def __call__(self, camera_id: str) -> WorkerLink:
        """Raises InternalError when the process cannot be started."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                env=worker_environment(os.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
                start_new_session=True,
            )
        except OSError as fault:
            ours.close()
            raise InternalError(f"the worker of camera {camera_id} cannot be started: {fault}") from fault
        finally:
            theirs.close()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return ProcessLink(process, reader, writer)
