"""The soak: what it counts adds up over runs and interruptions, and a short run of its whole devices is clean."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from http.client import HTTPException
from pathlib import Path

import msgspec
import pytest

from device.outbox.store import Outbox
from tests.system import soak, soak_cuts
from tests.system.soak_book import Episode, SoakBook
from tests.system.soak_cuts import STATE, UPDATE


def an_episode(number: int, kills: int = 7, **changes: object) -> Episode:
    fields = {
        "id": f"van-{number}",
        "kind": "van",
        "seed": number,
        "at": "2026-11-30T12:00:00.000Z",
        "machine": "m",
        "load": 1.0,
        "seconds": 60.0,
        "kills": {"hub": kills - 2, "worker": 2},
        "alerts": 9,
        "judged": {"true_alert": 3, "false_alert": 2},
    }
    return msgspec.convert({**fields, **changes}, Episode)


@pytest.fixture
def book(tmp_path: Path) -> SoakBook:
    return SoakBook(tmp_path / "soak" / "episodes.jsonl")


def play(folder: Path, seed: int, kills: int) -> Episode:
    return an_episode(seed, kills)


def play_and_die_in_the_third(folder: Path, seed: int, kills: int) -> Episode:
    if seed == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return an_episode(seed, kills)


def run_until_it_dies(file: Path) -> None:
    soak.soak(SoakBook(file), kills=100, until_s=time.monotonic() + 60, kinds=((play_and_die_in_the_third, 10),))


def test_counts_add_up_over_runs(book: SoakBook) -> None:
    for _ in range(3):
        assert soak.soak(book, kills=25, until_s=time.monotonic() + 60, kinds=((play, 10),))
    sums = book.sums()
    assert (sums.episodes, sums.kills_in_all, sums.kills) == (9, 75, {"hub": 57, "worker": 18})
    assert (sums.alerts, sums.judged) == (81, {"false_alert": 18, "true_alert": 27})
    assert sums.clean
    assert [episode.seed for episode in book.episodes()] == list(range(1, 10)), "no seed is played twice"


def test_an_episode_that_was_interrupted_counts_nothing_and_is_played_again(tmp_path: Path, book: SoakBook) -> None:
    killed = multiprocessing.get_context("spawn").Process(
        target=run_until_it_dies, args=(tmp_path / "soak" / "episodes.jsonl",)
    )
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert (book.sums().episodes, book.sums().kills_in_all) == (2, 20)
    soak.soak(book, kills=10, until_s=time.monotonic() + 60, kinds=((play, 10),))
    assert (book.sums().episodes, book.sums().kills_in_all) == (3, 30)
    assert [episode.id for episode in book.episodes()] == ["van-1", "van-2", "van-3"]


def test_a_line_that_was_torn_anywhere_counts_nothing_and_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "episodes.jsonl"
    whole, torn = SoakBook(file), msgspec.json.encode(an_episode(2))
    whole.add(an_episode(1))
    first = file.read_bytes()
    for cut in range(1, len(torn)):
        file.write_bytes(first + torn[:cut])
        assert whole.sums().kills_in_all == 7
        whole.add(an_episode(3))
        assert (whole.sums().episodes, whole.sums().kills_in_all) == (2, 14), cut


def test_the_same_episode_twice_counts_once(book: SoakBook) -> None:
    book.add(an_episode(1))
    book.add(an_episode(1))
    assert (book.sums().episodes, book.sums().alerts) == (1, 9)


def test_another_episode_of_the_same_id_or_a_line_of_another_version_is_not_passed_over(book: SoakBook) -> None:
    book.add(an_episode(1))
    book.add(an_episode(1, lost=1, problems=["an alert is not on the page"]))
    with pytest.raises(ValueError, match="two episodes are called van-1"):
        book.sums()
    book._file.write_text('{"id": "van-1", "problems": ["of another version"]}\n')
    with pytest.raises(ValueError, match="no episode"):
        book.sums()


@pytest.mark.parametrize("fault", [KeyError("soak"), msgspec.DecodeError("an answer"), HTTPException("cut off")])
def test_an_answer_that_cannot_be_read_or_a_deployment_that_is_gone_is_a_finding_in_the_book(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def play(self: object, kills: int) -> None:
        raise fault

    monkeypatch.setattr(soak.VanEpisode, "__post_init__", lambda _: None)
    monkeypatch.setattr(soak.VanEpisode, "play", play)
    assert soak.play_van(tmp_path, 1, 5).problems == [f"{type(fault).__name__}: {fault}"]


def test_a_second_alert_of_one_person_is_a_ghost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak.VanEpisode, "__post_init__", lambda _: None)
    episode = soak.VanEpisode(tmp_path, 1)
    stored = iter([set(), {"a-1", "a-2"}])
    vars(episode).update(_passage=0, _probes=[], _people=["p"], _random=random.Random(1), _running=Nobody())
    vars(episode)["_stored"] = lambda _: next(stored)
    episode._alert("cam-1")
    assert (episode.open, episode.ghosts) == ({"a-1"}, {"a-2"})


class Nobody:
    """A device at which somebody appears without an effect of its own."""

    def appear(self, *_: object) -> None:
        pass


def test_a_finding_stays_in_the_sums_and_its_files_are_kept(tmp_path: Path, book: SoakBook) -> None:
    def found(folder: Path, seed: int, kills: int) -> Episode:
        (folder).mkdir()
        (folder / "hub.log").write_text("why")
        return an_episode(seed, kills, lost=1, problems=["an alert is not on the page"])

    assert not soak.soak(book, kills=1, until_s=time.monotonic() + 60, kinds=((found, 10),), keep=tmp_path)
    assert soak.soak(book, kills=1, until_s=time.monotonic() + 60, kinds=((play, 10),))
    sums = book.sums()
    assert (sums.lost, sums.problems, sums.clean) == (1, ["van-1: an alert is not on the page"], False)
    assert (tmp_path / "van-1" / "hub.log").read_text() == "why"


def test_a_second_soak_into_the_same_book_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "episodes.jsonl"
    with soak.alone(file), pytest.raises(SystemExit, match="another one writes"), soak.alone(file):
        pass
    with soak.alone(file):
        pass


@pytest.mark.long
def test_power_cuts_in_updates_and_state_folders_are_counted_and_find_nothing(tmp_path: Path) -> None:
    episode = soak.play_cuts(tmp_path / "episode", seed=3, kills=12)
    assert episode.problems == []
    assert episode.kills == {UPDATE: 6, STATE: 6}
    assert episode.alerts > 0


@pytest.mark.long
def test_what_a_power_cut_takes_away_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outbox that forgets, and an updater that stops half-way."""
    monkeypatch.setattr(Outbox, "alerts_held", lambda self: [])
    monkeypatch.setattr(soak_cuts, "attempt", lambda updater, inbox: "")
    episode = soak.play_cuts(tmp_path / "episode", seed=3, kills=12)
    assert episode.lost > 0
    assert any("the next run ended with" in problem for problem in episode.problems)


@pytest.mark.system
def test_kills_of_whole_devices_lose_nothing_and_bring_nothing_back(tmp_path: Path) -> None:
    episode = soak.play_van(tmp_path / "episode", seed=3, kills=8)
    assert episode.problems == []
    assert sum(episode.kills.values()) == 8
    assert (episode.lost, episode.ghosts, episode.undeleted, episode.unbalanced) == (0, 0, 0, 0)
    assert episode.alerts >= 8
