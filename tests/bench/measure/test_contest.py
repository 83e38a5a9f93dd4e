"""Engines on one network: what their start costs, that they agree, that all are closed."""

from __future__ import annotations

import numpy as np
import pytest

from bench.engines import ENGINES, Entry, Network, Session
from bench.measure.agreement import check_rounded
from bench.measure.contest import CHECKED_IMAGES, Settings, contest
from sparsenet.errors import InputError, SparsenetError
from sparsenet.timing import PROCESS
from tests.sparsenet.sample_graphs import tiny_graph

QUICK = {"seconds": 0.01, "warmup": 0.0}


class Watched(Session):
    """A session that counts."""

    in_process = False

    def __init__(self, inner: Session) -> None:
        super().__init__(inner.run, inner.close)
        self.closed = 0

        def close() -> None:
            inner.close()
            self.closed += 1

        self.close = close


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    """Sessions of the engine "ort", which is our dense one here."""
    found: list[Watched] = []
    dense = ENGINES["dense"].prepare

    def prepare(network: Network, threads: int) -> Session:
        found.append(Watched(dense(network, threads)))
        return found[-1]

    monkeypatch.setitem(ENGINES, "ort", Entry("ort", prepare))
    return found


def test_every_engine_is_started_compared_and_timed(watched: list[Watched]) -> None:
    settings = Settings(("ours", "ort"), rounds=4, **QUICK)
    told: list[tuple[int, int]] = []
    with contest(tiny_graph(), settings, {}, "tiny") as field:
        assert list(field.entrants) == list(field.errors) == ["ours", "ort"]
        assert field.errors["ours"] == 0
        assert field.clock is PROCESS
        assert all(entrant.prepare > 0 and entrant.first > 0 for entrant in field.entrants.values())
        assert field.entrants["ort"].memory is None  # another process runs it, as far as anyone knows
        assert (field.entrants["ours"].memory or 0) >= 0
        taken = field.take(lambda done, rounds: told.append((done, rounds)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert list(taken.samples) == ["ours", "ort"]
    assert len(taken.samples["ort"]) >= 4
    assert [session.closed for session in watched] == [1]


def test_all_are_closed_after_an_error(watched: list[Watched]) -> None:
    with pytest.raises(KeyError), contest(tiny_graph(), Settings(("ours", "ort"), **QUICK), {}, "tiny"):
        raise KeyError
    assert [session.closed for session in watched] == [1]


def test_what_cannot_be_is_refused_before_any_engine_starts(watched: list[Watched]) -> None:
    for settings in (Settings(("ort", "nosuch")), Settings(("ort",), threads=10_000)):
        with pytest.raises(InputError), contest(tiny_graph(), settings, {}, "tiny"):
            pytest.fail("it began")
    assert not watched


@pytest.mark.parametrize("first", [(), ("dense",)])
def test_fewer_bits_are_held_against_float32(first: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    dense, seen = ENGINES["dense"].prepare, []

    def coarse(network: Network, threads: int) -> Session:
        session = dense(network, threads)

        def run(x: np.ndarray) -> list[np.ndarray]:
            seen.append(x)
            return [np.round(16 * y) / 16 for y in session.run(x)]

        return Session(run, session.close)

    monkeypatch.setitem(ENGINES, "ort-int8", Entry("coarse", coarse, precision="int8"))
    settings = Settings((*first, "ort-int8"), batch=3, seed=5, rounds=2, **QUICK)
    with contest(tiny_graph(), settings, {}, "tiny") as field:
        assert 0 < field.errors["ort-int8"] == field.rounded["ort-int8"].error < 0.4
        assert 0.9 < field.rounded["ort-int8"].same_top <= 1
        assert len({x.tobytes() for x in seen}) * 3 >= CHECKED_IMAGES
        assert np.array_equal(seen[-1], field.x)  # what is timed is the example


def test_wrong_answers_in_fewer_bits_stop_the_run() -> None:
    expected = [[np.array([[1.0, 2.0, 4.0]], np.float32)], [np.array([[4.0, 2.0, 2.0]], np.float32)]]
    near = [[y + np.float32(0.15) for y in answers] for answers in expected]
    assert check_rounded("e", "int8", near, expected, "net").same_top == 1
    with pytest.raises(
        SparsenetError, match=r"net: outputs of 'e' differ .* more than bf16 explains \(0\.05\)"
    ):
        check_rounded("e", "bf16", near, expected, "net")
    for wrong in ([[y[:, ::-1]] for (y,) in expected], [[y[:, :2]] for (y,) in expected]):
        with pytest.raises(SparsenetError, match="its times mean nothing"):
            check_rounded("e", "int8", wrong, expected, "net")
    with pytest.raises(SparsenetError, match="float32 returns NaN"):
        check_rounded("e", "int8", near, [[y * np.nan for y in answers] for answers in expected], "net")
