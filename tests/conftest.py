"""Fixtures of every kind of test: prepared models, sample photos, a short seeded clip, builders of odd recordings.

What `make setup` puts into the cache is required: a test that needs it fails with that remedy, it is never skipped.
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from engines.places import models_dir

if TYPE_CHECKING:
    from engines.cards.model_card import ModelCard
    from tests.device_apis.fake_jetson_utils import Library
    from tools.dev.proof.worker import Given, WorkerProcess

TESTS = Path(__file__).parent

# Laws: no example has a deadline of its own, and a busy machine is no reason to fail. Every run tries the same
# examples; `pytest --hypothesis-profile=explore` tries others.
for _name, _same in (("gate", True), ("explore", False)):
    settings.register_profile(
        _name, deadline=None, derandomize=_same, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
settings.load_profile("gate")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of these tests."""
    parser.addoption("--update", metavar="REASON", default=None, help="write the golden replay logs again, and why")


@pytest.fixture(scope="session")
def update(request: pytest.FixtureRequest) -> str | None:
    """The reason for which golden files are written again; None: they are compared."""
    reason: str | None = request.config.getoption("--update")
    if reason is not None and not reason.strip():
        raise pytest.UsageError("--update needs a reason, which the golden file keeps")
    return reason


@pytest.fixture(autouse=True)
def _no_log_handler_stays() -> Iterator[None]:
    """A command that logs leaves a handler with the test's own stderr; the next test has another."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def models_ready() -> Path:
    """Folder of the prepared models, each checked against its manifest."""
    from engines.cards.catalogue import cards
    from engines.errors import EnginesError
    from engines.manifest import verified

    for card in (one for one in cards() if not one.optional):
        try:
            verified(card, models_dir())
        except EnginesError as fault:
            pytest.fail(f"run make setup: {fault}")
    return models_dir()


@pytest.fixture(scope="session")
def samples() -> Callable[[str], list[Path]]:
    """`samples("public" | "avatars" | "scenes")`: that group's photos, sorted by name."""
    from tools.dev.samples.extract import SamplesMissing, sample_files

    def of(group: str) -> list[Path]:
        try:
            return sample_files(group)
        except SamplesMissing as fault:
            pytest.fail(f"run make setup: {fault}")

    of("public")
    return of


@pytest.fixture(scope="session")
def videos() -> ModuleType:
    """The module tests/replay/videos.py: builders of odd and broken recordings."""
    from tests.replay import videos

    return videos


@pytest.fixture(scope="session")
def clip(samples: Callable[[str], list[Path]], models_ready: Path) -> Path:
    """A crowd clip of 10 s with both passages of the listed person; its truth beside it (`tools.dev.clip.make`)."""
    from tools.dev.clip.make import ready_clip
    from tools.dev.clip.spec import SHORTEST_S, default_spec

    return ready_clip(default_spec(seconds=SHORTEST_S))[0]


@pytest.fixture(scope="session")
def cache_beside(models_ready: Path) -> Callable[[Path], Path]:
    """`cache_beside(folder)`: a new cache that has the packaged models, to which others may be added, and all else."""

    def made(cache: Path) -> Path:
        shutil.copytree(models_ready, cache / "models")
        for place in models_ready.parent.iterdir():  # samples and clips
            if place != models_ready:
                (cache / place.name).symlink_to(place)
        return cache

    return made


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory, clip: Path, models_ready: Path) -> Given:
    """What a real worker is given: the short clip at full pace, and a sealed list of who passes in it."""
    from tools.dev.proof.worker import given

    return given(tmp_path_factory.mktemp("deployment"), str(clip), pace="full")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerProcess]:
    """A real worker without a task yet."""
    from tools.dev.proof.worker import WorkerProcess

    with WorkerProcess(tmp_path) as started:
        yield started


@pytest.fixture
def own_recogniser(
    cache_beside: Callable[[Path], Path], own_models: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModelCard:
    """The card of an added recogniser, "tiny", in a cache of this test that has the packaged models as well."""
    cache, made = cache_beside(tmp_path / "own-cache"), tmp_path / "own"
    made.mkdir()
    written, file = own_models.recogniser(made)
    return _added(written, file, cache, monkeypatch)


@pytest.fixture
def screening_recogniser(
    cache_beside: Callable[[Path], Path], own_models: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModelCard:
    """Likewise "unit-length", SFace's network under another hash: as a pair's screen it tells people apart.

    It takes some seconds; for what needs no faces told apart, `own_recogniser` is a screen, too.
    """
    from engines.cards.model_card import RECOGNISER_DEFAULT

    cache, made = cache_beside(tmp_path / "own-cache"), tmp_path / "own"
    made.mkdir()
    written, file = own_models.normalising(made, cache / "models" / f"{RECOGNISER_DEFAULT}.onnx")
    return _added(written, file, cache, monkeypatch)


def _added(written: Path, file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    """The card of a model that is added to a cache, which becomes the test's."""
    from engines.cards.catalogue import card
    from engines.places import CACHE_VARIABLE
    from engines.prepare.custom_models import add
    from engines.prepare.prepare import prepare

    name = add(written, file, cache / "models").name
    prepare(card(name, cache / "models"), file, cache / "models")
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    return card(name)


@pytest.fixture
def watchlist_folder(tmp_path: Path, samples: Callable[[str], list[Path]]) -> Path:
    """A folder to enrol from: the clip's listed person, one photo."""
    from tools.dev.clip.spec import write_watchlist

    return write_watchlist(tmp_path / "watchlist")


@pytest.fixture(scope="session")
def own_models() -> ModuleType:
    """Makers of models that somebody might add: tests/unit/engines/own_models.py."""
    from tests.unit.engines import own_models

    return own_models


@pytest.fixture
def fake_jetson_utils() -> ModuleType:
    """The module tests/device_apis/fake_jetson_utils.py: cameras on a script and a ring that is overwritten."""
    from tests.device_apis import fake_jetson_utils

    return fake_jetson_utils


@pytest.fixture
def jetson(fake_jetson_utils: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Library:
    """`import jetson_utils` gives the fake; cameras are plugged into its `cameras`, by address."""
    library: Library = fake_jetson_utils.Library()
    monkeypatch.setitem(sys.modules, "jetson_utils", library.module())
    return library


@pytest.fixture(scope="session")
def damaged_videos(videos: ModuleType) -> ModuleType:
    """The module tests/replay/damaged_videos.py: recordings as bad links and old recorders leave them."""
    from tests.replay import damaged_videos

    return damaged_videos
