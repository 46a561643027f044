"""One vision worker as a process: started by exec over a socketpair, controlled by wire messages, killed if need be.

Never fork (CUDA does not survive it). The worker has a session of its own, so a Ctrl-C in a terminal reaches only the
supervisor, which stops it in order; if the supervisor dies, the worker reads end-of-file and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterable
from typing import Protocol

from device.edges.sandbox.hardening import worker_environment
from device.errors import InternalError, LinkBroken
from device.logs import event
from device.supervisor.timing import PREPARED_S
from device.wire.link import (
    HEADER,
    MAX_BODY_BYTES,
    PROTOCOL,
    FromWorker,
    Prepare,
    ToWorker,
    VisionAssignment,
    pack,
    unpack_from_worker,
)

_log = logging.getLogger(__name__)
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

    @property
    def runs(self) -> bool:
        """Whether the process has not been seen to exit."""
        return self._process.returncode is None and not self._reader.at_eof()

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
    """Starts workers by exec. `command` gets the number of its end of the socketpair as last argument.

    A worker can be started ahead of its assignment (`prepare`): it opens its engines while the supervisor waits for the
    deployment's key and for the sign. It has no list and no camera, so the sign may be dark. One that was not needed
    within PREPARED_S is ended, and so is every one that is left at the end.
    """

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._command = command
        self._prepared: dict[str, ProcessLink] = {}
        self._expiry: asyncio.Task[None] | None = None

    async def prepare(self, cameras: Iterable[str], vision: VisionAssignment) -> None:
        """Start a worker for each camera that opens its engines; one that cannot be started is only logged."""
        for camera in cameras:
            try:
                self._prepared[camera] = link = await self._start(camera)
            except InternalError as fault:
                event(_log, "worker.not_prepared", level=logging.WARNING, camera=camera, problem=str(fault))
                break
            link.send(Prepare(protocol=PROTOCOL, vision=vision))
            event(_log, "worker.prepared", camera=camera)
        self._expiry = asyncio.create_task(self._expire())

    @property
    def waiting(self) -> set[str]:
        """Cameras whose prepared worker waits for its assignment."""
        return {camera for camera, link in self._prepared.items() if link.runs}

    async def close(self) -> None:
        """End every prepared worker that was not needed."""
        if self._expiry is not None:
            self._expiry.cancel()
            await asyncio.gather(self._expiry, return_exceptions=True)
        await self._end_prepared()

    async def __call__(self, camera_id: str) -> WorkerLink:
        """A prepared worker, or a new one. Raises InternalError when the process cannot be started."""
        prepared = self._prepared.pop(camera_id, None)
        if prepared is not None and prepared.runs:
            return prepared
        if prepared is not None:
            await prepared.ended()
        return await self._start(camera_id)

    async def _expire(self) -> None:
        await asyncio.sleep(PREPARED_S)
        await self._end_prepared()

    async def _end_prepared(self) -> None:
        while self._prepared:
            _, link = self._prepared.popitem()
            link.kill()
            await link.ended()

    async def _start(self, camera_id: str) -> ProcessLink:
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
