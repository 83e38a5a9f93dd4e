"""Engines on one network: what their start costs, that they agree, that all are closed."""

from __future__ import annotations

import pytest

from bench.engines import ENGINES, Network, Session
from bench.measure.contest import Settings, contest
from sparsenet.errors import InputError
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
    dense = ENGINES["dense"]

    def prepare(network: Network, threads: int) -> Session:
        found.append(Watched(dense(network, threads)))
        return found[-1]

    monkeypatch.setitem(ENGINES, "ort", prepare)
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
