"""What the workers of all cameras have reported: engine, list, operating point, protections, beats. No decisions.

Facts are kept by camera, from the latest run of its worker. They outlive a worker (its successor reports them again)
and are dropped at the end of the deployment, all but the engine.
"""

from __future__ import annotations

from device.hub_api import messages
from device.supervisor.conditions.snapshot import OperatingView
from device.supervisor.status import view
from device.wire.link import Beat, Hello, WatchlistLoaded, Withdrawn

ListFacts = tuple[str, str, int, int]
"""Id, SHA-256, subjects, images of a list as a worker opened it."""


class WorkerReports:
    """Latest reports by camera.

    engine, watchlist  of the worker that reported last: all cameras of a device use the same
    beats              of the workers that run now
    """

    def __init__(self) -> None:
        self.engine: messages.Engine | None = None
        self.watchlist: WatchlistLoaded | None = None
        self.beats: dict[str, Beat] = {}
        self._engine_problems: dict[str, str] = {}
        self._disagreements: dict[str, str] = {}
        self._protections: dict[str, frozenset[str]] = {}
        self._watchlists: dict[str, ListFacts] = {}
        self._operating: dict[str, OperatingView] = {}
        self._incomplete: dict[str, int] = {}
        self._withdrawn: dict[str, int] = {}

    def hello(self, camera: str, message: Hello) -> None:
        """A worker's engines and the protections that the kernel granted."""
        named = all(len(sha) == 64 for sha in (message.detector_sha256, message.recogniser_sha256))
        self._engine_problems[camera] = "" if named else "the worker does not name its models by hash"
        self._disagreements[camera] = message.self_test
        self._protections[camera] = frozenset(name for name, granted in message.protections.items() if granted)
        self.engine = view.engine_message(message)

    def watchlist_loaded(self, camera: str, message: WatchlistLoaded) -> None:
        """A worker opened its list."""
        self.watchlist = message
        self._watchlists[camera] = (message.watchlist_id, message.sha256, message.subjects, message.images)
        self._operating[camera] = view.operating_view(message)
        self._incomplete[camera] = message.incomplete

    def entries_withdrawn(self, camera: str, message: Withdrawn) -> None:
        """A worker zeroed entries; the number is the total since it opened its list."""
        self._withdrawn[camera] = message.entries

    def beat(self, camera: str, message: Beat) -> None:
        """Record a beat."""
        self.beats[camera] = message

    def worker_ended(self, camera: str) -> None:
        """Drop the last beat: its worker has ended."""
        self.beats.pop(camera, None)

    def clear(self) -> None:
        """End of the deployment: nothing of the watchlist stays in memory."""
        self.watchlist = None
        for facts in (self._watchlists, self._operating, self._incomplete, self._withdrawn):
            facts.clear()

    @property
    def threshold(self) -> tuple[float, str] | None:
        """The threshold in use and its source."""
        return None if self.watchlist is None else (self.watchlist.threshold, self.watchlist.threshold_source)

    @property
    def withdrawn(self) -> int:
        """Entries that every worker with a list has zeroed."""
        return min((self._withdrawn.get(camera, 0) for camera in self._watchlists), default=0)

    def watchlists(self) -> tuple[ListFacts, ...]:
        """Each worker's list, as it opened it."""
        return tuple(self._watchlists.values())

    def operating_points(self) -> tuple[OperatingView, ...]:
        """Each worker's operating point."""
        return tuple(self._operating.values())

    def incomplete_entries(self) -> tuple[int, ...]:
        """How many entries of each worker's list lack a category or a source."""
        return tuple(self._incomplete.values())

    def engine_problems(self) -> tuple[str, ...]:
        """The problem of each engine that reported; empty text when there is none."""
        return tuple(self._engine_problems.values())

    def protections(self) -> tuple[frozenset[str], ...]:
        """Names of the protections that the kernel granted to each worker that reported."""
        return tuple(self._protections.values())

    def disagreements(self) -> tuple[str, ...]:
        """How each engine that reported differs from its golden tensors; empty text when it agrees."""
        return tuple(self._disagreements.values())
