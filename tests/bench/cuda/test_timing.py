"""Timers side by side, by anybody's clock."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from bench.cuda.timing import repeated, side_by_side


def test_every_timer_has_a_turn_in_each_round_and_two_before_that_do_not_count() -> None:
    calls = {"fast": count(), "slow": count()}
    seconds = {"fast": 1.0, "slow": 3.0}

    def timer(name: str) -> float:
        return 1000.0 if next(calls[name]) < 2 else seconds[name]

    taken = side_by_side({name: lambda name=name: timer(name) for name in calls}, 7)  # type: ignore[misc]
    assert {name: list(found) for name, found in taken.items()} == {"fast": [1.0] * 7, "slow": [3.0] * 7}
    assert [next(number) for number in calls.values()] == [9, 9]


def test_many_calls_are_divided_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def timed(body):  # type: ignore[no-untyped-def]
        return lambda: (body(), 10.0)[1]

    monkeypatch.setattr("bench.cuda.timing.on_stream", timed)
    assert np.isclose(repeated(lambda: made.append(1), 5)(), 2.0)
    assert len(made) == 5
