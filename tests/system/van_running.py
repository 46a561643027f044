"""A van's programs while they run: hub, broker and devices as processes, and an operator at the page."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from device.domain.finding import Candidate
from tests.sample_alerts import a_candidate
from tests.system.emulated_worker import THRESHOLD
from tests.system.scripted_device import orders_socket
from tests.system.van import CATEGORY, OPERATOR, PASSWORD, Listed, Van

ROOT = Path(__file__).parents[2]
STEP_WITHIN_S = 60.0


def wait(condition: Callable[[], object], what: str, within_s: float = STEP_WITHIN_S) -> float:
    """Seconds until it held. AssertionError when it does not."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.03)
    return time.monotonic() - began


class Running:
    """The van's programs while they run, and the operator at the page; `stop` ends all of them."""

    def __init__(self, van: Van) -> None:
        self.van = van
        (van.folder / "logs").mkdir(exist_ok=True)
        self.hub: subprocess.Popen[str] | None = None
        self.devices: dict[str, subprocess.Popen[str]] = {}
        self.operator: Operator | None = None

    def start_hub(self) -> None:
        """`lfr hub serve`, until it prints its address; then the operator logs in and opens the page."""
        command = [sys.executable, "-m", "device.cli.main", "hub", "serve", str(self.van.hub.root)]
        with self.van.log("hub").open("ab") as log:
            self.hub = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)
        line = self.hub.stdout.readline() if self.hub.stdout else ""
        assert line, self.van.log("hub").read_text()[-3000:]
        self.operator = Operator(json.loads(line)["url"])

    def start_device(self, name: str) -> None:
        place = self.van.folder / name
        command = [sys.executable, "-m", "tests.system.scripted_device", place / "device.yaml", place / "host"]
        with self.van.log(name).open("ab") as log:
            self.devices[name] = subprocess.Popen(
                [str(word) for word in command], stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT
            )

    def processes(self) -> list[int]:
        """Hub, broker, devices and their workers."""
        started = [*self.devices.values(), *(() if self.hub is None else (self.hub,))]
        running = [process.pid for process in started if lives(process.pid)]
        return [*running, *(child for pid in running for child in children_of(pid, ""))]

    @property
    def page(self) -> Operator:
        assert self.operator is not None
        return self.operator

    def kill_hub(self) -> None:
        assert self.hub is not None
        self.page.close()
        self.hub.kill()
        self.hub.wait()

    def kill_broker(self) -> None:
        """SIGKILL; the hub starts another one at once."""
        assert self.hub is not None
        broker = child_of(self.hub.pid, "mosquitto")
        with contextlib.suppress(ProcessLookupError):
            os.kill(broker, signal.SIGKILL)

    def kill_device(self, name: str) -> None:
        """SIGKILL; until its worker is gone too, which would answer orders that lead nowhere."""
        left = children_of(self.devices[name].pid, "python")
        self.devices[name].kill()
        self.devices[name].wait()
        wait(lambda: not any(map(lives, left)), f"the worker of a killed {name} to be gone")

    def kill_worker(self, name: str) -> None:
        """SIGKILL; until it is gone."""
        worker = child_of(self.devices[name].pid, "python")
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
        wait(lambda: not lives(worker), f"a killed worker of {name} to be gone")

    def leave(self, name: str) -> int:
        """SIGTERM, as a reboot sends it; its exit status."""
        self.devices[name].terminate()
        return self.devices[name].wait(STEP_WITHIN_S)

    def state(self, name: str) -> str:
        """The device's state by its status file; empty while there is none."""
        return str(self.status(name).get("state", ""))

    def status(self, name: str) -> dict[str, Any]:
        """The device's status file; empty while there is none, or only that of a supervisor that was killed before."""
        try:
            found: dict[str, Any] = json.loads((self.van.run_dir(name) / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if found.get("pid") == self.devices[name].pid else {}

    def until_recognising(self, *names: str, within_s: float = STEP_WITHIN_S) -> None:
        for name in names or self.van.devices:
            wait(partial(self.recognises, name), f"{name} to recognise", within_s)

    def recognises(self, name: str) -> bool:
        return self.state(name) == "recognising"

    def order(self, name: str, **order: Any) -> None:
        """One order to a device's worker, once one runs; returns once its messages are on the link.

        A worker that was just being stopped may take the connection and never answer; then the next one gets the order.
        """
        line = json.dumps(order).encode() + b"\n"
        wait(lambda: self._carried_out(name, line), f"a worker of {name} to carry out an order", 2 * STEP_WITHIN_S)

    def _carried_out(self, name: str, line: bytes) -> bool:
        with socket.socket(socket.AF_UNIX) as link, contextlib.suppress(ConnectionError, FileNotFoundError):
            link.settimeout(STEP_WITHIN_S)
            link.connect(str(orders_socket(self.van.run_dir(name))))
            link.sendall(line)
            return link.recv(16) == b"done\n"
        return False

    def walk(self, name: str, people: int, *, still: int = 0) -> None:
        """People come and go unlisted; `still` of them stay in view."""
        self.order(name, walk=people, open=still)

    def appear(self, name: str, passage: int, person: Listed, probe: bytes, revision: int = 0) -> None:
        """A listed person is in view: a candidate with its probe."""
        found = msgspec.to_builtins(candidate(passage, revision, person.ref))
        self.order(name, candidate=found, probe=base64.b64encode(probe).decode())

    def stop(self) -> None:
        """End everything that still runs."""
        if self.operator is not None:
            self.operator.close()
        for process in (*self.devices.values(), *(() if self.hub is None else (self.hub,))):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STEP_WITHIN_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


class Operator:
    """Somebody at the page: logged in, with the event stream open, so that an operator is present."""

    def __init__(self, url: str, ref: str = OPERATOR) -> None:
        self._url = urlsplit(url)
        self._cookie = self._ask("GET", f"/?{self._url.query}")[2].split(";")[0]
        page = self._ask("GET", "/")[1].decode()
        self._token = page.split('name="csrf" content="')[1].split('"')[0]
        status, text, cookie = self._ask("POST", "/login", {"ref": ref, "password": PASSWORD})
        assert status == 200, text
        self._cookie += "; " + cookie.split(";")[0]
        self._stream = http.client.HTTPConnection(self._url.hostname or "", self._url.port)
        self._stream.request("GET", "/events", headers=self._headers())
        self._reader = threading.Thread(target=self._read, args=(self._stream.getresponse(),), daemon=True)
        self._reader.start()

    def snapshot(self) -> dict[str, Any]:
        """What the page shows."""
        status, content, _ = self._ask("GET", "/snapshot")
        assert status == 200, content
        found: dict[str, Any] = json.loads(content)
        return found

    def cases(self) -> dict[str, dict[str, Any]]:
        """Cases on the page, by alert id; empty while the hub does not answer."""
        try:
            return {case["id"]: case for case in self.snapshot()["cases"]}
        except OSError:
            return {}

    def decide(self, alert: str, kind: str, outcome: str) -> int:
        """A judgement, an engagement or a disposition; the HTTP status."""
        return self._ask("POST", f"/cases/{alert}/{kind}", {"outcome": outcome})[0]

    def close(self) -> None:
        """The page is closed; nobody is present any more."""
        with contextlib.suppress(OSError):
            if self._stream.sock is not None:
                self._stream.sock.shutdown(socket.SHUT_RDWR)
        self._stream.close()

    def _read(self, answer: http.client.HTTPResponse) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while answer.read1(65536):
                pass

    def _headers(self) -> dict[str, str]:
        return {"Host": self._url.netloc, "Cookie": getattr(self, "_cookie", "")}

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=STEP_WITHIN_S)
        headers = self._headers()
        if body is not None:
            headers |= {"Origin": f"http://{self._url.netloc}", "X-CSRF-Token": self._token}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Set-Cookie") or ""
        finally:
            connection.close()


def candidate(passage: int, revision: int, entry: str) -> Candidate:
    """A recorded candidate of a passage."""
    now_ns = time.monotonic_ns()
    return a_candidate(
        passage=passage,
        revision=revision,
        entry_ref=entry,
        category=CATEGORY,
        image_source="custody",
        image_captured_on="2026-03-01",
        score=0.62 + revision / 100,
        threshold=THRESHOLD,
        margin=0.12,
        first_seen_ns=now_ns,
        last_seen_ns=now_ns,
        decoded_ns=now_ns,
    )


def child_of(parent: int, name: str) -> int:
    """The process id of a child by the beginning of its name, once there is one."""
    found: list[int] = []

    def look() -> bool:
        found[:] = children_of(parent, name)
        return bool(found)

    wait(look, f"a child {name} of {parent}")
    return found[0]


def children_of(parent: int, name: str) -> list[int]:
    """Living children by the beginning of their name."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:
        return []  # it has ended
    return [pid for pid in map(int, children) if lives(pid) and comm(pid).startswith(name)]


def comm(pid: int) -> str:
    """A process's name; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is not only waited for (a zombie)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def rows_of(file: Path, query: str) -> list[str]:
    """The first column of a running program's database; tried again while it is being made or is locked."""
    found: list[str] = []
    problem: list[sqlite3.Error] = []

    def read() -> bool:
        try:
            with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10.0)) as sql:
                found[:] = [row[0] for row in sql.execute(query)]
        except sqlite3.DatabaseError as fault:
            problem[:] = [fault]
            return False
        return True

    try:
        wait(read, f"{file.name} to be readable")
    except AssertionError as late:
        raise AssertionError(f"{late}: {problem}") from late
    return found
