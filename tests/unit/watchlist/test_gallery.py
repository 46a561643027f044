"""Search of a gallery equals the naive loop over all templates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.domain.sight import F32
from device.watchlist.gallery import Gallery, fill


def unit_rows(count: int, seed: int) -> F32:
    return fill(count, seed, dim=128)[1]


def naive(queries: F32, templates: F32, owner: list[int], entries: int) -> list[list[float]]:
    """Score of each query against each entry, photo by photo."""
    table = []
    for query in queries:
        scores = []
        for entry in range(entries):
            rows = [templates[i] for i, of in enumerate(owner) if of == entry]
            mean = np.sum(rows, axis=0)
            scores.append(float(mean / np.linalg.norm(mean) @ query))
        table.append(scores)
    return table


@settings(max_examples=40, deadline=None)
@given(
    owner=st.lists(st.integers(0, 6), min_size=1, max_size=25),
    queries=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_search_equals_the_naive_loop(owner: list[int], queries: int, seed: int) -> None:
    kept = sorted(set(owner))
    owner = [kept.index(of) for of in owner]
    templates, probes = unit_rows(len(owner), seed), unit_rows(queries, seed + 1)
    gallery = Gallery([f"e{n}" for n in range(len(kept))], templates, np.array(owner))
    table = naive(probes, templates, owner, len(kept))
    for query, hit, scores in zip(probes, gallery.search(probes), table, strict=True):
        assert hit.score == pytest.approx(max(scores), abs=1e-5)
        assert scores[hit.entry] == pytest.approx(max(scores), abs=1e-5)
        others = scores[: hit.entry] + scores[hit.entry + 1 :]
        assert hit.other_score == pytest.approx(max(others, default=-1.0), abs=1e-5)


def test_a_listed_person_is_found_by_name_among_twenty_thousand() -> None:
    refs, rows = fill(20_000, 1, dim=128)
    gallery = Gallery(refs, rows, np.arange(20_000))
    hit = gallery.search(rows[12_345:12_346])[0]
    assert gallery.refs[hit.entry] == "synthetic-12345"
    assert hit.score == pytest.approx(1, abs=1e-5)
    assert hit.other_score < 0.6


def test_synthetic_templates_never_reach_a_threshold() -> None:
    refs, rows = fill(4000, 3, dim=128)
    hits = Gallery(refs, rows, np.arange(4000)).search(unit_rows(64, 4))
    assert max(hit.score for hit in hits) < 0.45


def test_synthetic_templates_are_the_same_for_the_same_seed() -> None:
    assert np.array_equal(fill(10, 5, dim=128)[1], fill(10, 5, dim=128)[1])
    assert not np.array_equal(fill(10, 5, dim=128)[1], fill(10, 6, dim=128)[1])


def test_a_wiped_gallery_holds_nothing_and_matches_nobody() -> None:
    rows = unit_rows(5, 0)
    gallery = Gallery(list("abcde"), rows, np.arange(5))
    gallery.wipe()
    assert gallery.search(rows)[0].score == 0
    assert rows.any()  # the caller's own rows are the caller's to wipe


@pytest.mark.parametrize("owner", [[0, 0], [0, 2], [1, 1]])
def test_an_entry_without_a_template_is_a_defect(owner: list[int]) -> None:
    with pytest.raises(ValueError, match="every entry"):
        Gallery(["a", "b"], unit_rows(2, 0), np.array(owner))


@pytest.mark.parametrize("shape", [(2, 128), (128,), (1, 0)])
def test_templates_that_are_no_row_an_owner_are_a_defect(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        Gallery(["a"], np.ones(shape, np.float32), np.array([0]))


def test_a_recogniser_may_give_templates_of_any_length() -> None:
    refs, rows = fill(30, 4, dim=512)
    gallery = Gallery(refs, rows, np.arange(30))
    assert gallery.template_dim == 512
    assert gallery.search(rows[7:8])[0].entry == 7
    with pytest.raises(ValueError):
        gallery.search(np.ones((1, 128), np.float32))


def test_no_score_of_a_face_is_left_in_the_gallery_after_a_search() -> None:
    gallery, query, best = (
        Gallery(list("abcde"), unit_rows(5, 3), np.arange(5)),
        unit_rows(1, 4),
        np.zeros((1, 2, 5), np.float32),
    )
    gallery.search(query)
    gallery.note_look(query[0], best[0])
    gallery.best_of_looks(best)
    assert not gallery._scores.any()


def test_the_two_best_looks_are_found_by_their_mean_and_stay_as_they_are() -> None:
    gallery, best = (
        Gallery(list("abcde"), np.eye(5, 128, dtype=np.float32), np.arange(5)),
        np.zeros((1, 2, 5), np.float32),
    )
    looks = np.zeros((3, 128), np.float32)
    looks[:, 3], looks[1, 2] = (0.5, 0.1, 0.7), 0.8
    for look in looks:
        gallery.note_look(look, best[0])
    kept = best.copy()
    hit = gallery.best_of_looks(best)
    assert hit.entry == 3
    assert [hit.score, hit.other_score] == pytest.approx([0.6, 0.4])
    assert np.array_equal(best, kept)


def test_an_entry_that_is_withdrawn_after_its_two_best_looks_is_found_by_them_no_more() -> None:
    gallery, best = (
        Gallery(list("abc"), np.eye(3, 128, dtype=np.float32), np.arange(3)),
        np.zeros((1, 2, 3), np.float32),
    )
    for _ in range(2):
        gallery.note_look(np.array([0.3, 0.9] + [0.0] * 126, np.float32), best[0])
    assert gallery.best_of_looks(best).entry == 1
    gallery.withdraw(["b"])
    hit = gallery.best_of_looks(best)
    assert hit.entry == 0
    assert hit.score == pytest.approx(0.3)


def test_a_withdrawn_entry_is_zeroed_and_matches_nobody() -> None:
    rows = unit_rows(5, seed=3)
    gallery = Gallery(["a", "b", "c"], rows, np.array([0, 1, 1, 2, 0]))
    query = rows[1:2]
    assert gallery.search(query)[0].entry == 1
    others = [gallery.search(rows[photo : photo + 1])[0] for photo in (0, 3)]
    assert gallery.withdraw({"b", "nobody"}) == 1
    assert not gallery._rows[1].any()
    assert gallery.search(query)[0].entry != 1
    assert gallery.search(query)[0].score < 0.5
    assert [gallery.search(rows[photo : photo + 1])[0].entry for photo in (0, 3)] == [hit.entry for hit in others]
    assert gallery.withdraw(["b"]) == 1
    assert gallery.withdraw(["a"]) == 2
