"""A supervisor's end of a real worker's link: renews its lease until it is stopped. For test_lease.py.

Prints the worker's process id when its camera is open.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from device.supervisor.timing import LEASE_EVERY_S
from device.supervisor.workers.process import ProcessLauncher
from device.wire.link import Beat, Hello, Lease, unpack_to_worker


async def main(task: Path) -> None:
    link = await ProcessLauncher()("front")
    link.send(unpack_to_worker(task.read_bytes()))
    task.unlink()

    async def renew() -> None:
        while True:
            link.send(Lease())
            await asyncio.sleep(LEASE_EVERY_S)

    renewing = asyncio.create_task(renew())
    pid = beats = 0
    while (message := await link.receive()) is not None:
        if isinstance(message, Hello):
            pid = message.pid
        if isinstance(message, Beat):
            beats += 1
            if beats == 8:
                sys.stdout.write(f"{pid}\n")
                sys.stdout.flush()
    renewing.cancel()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
