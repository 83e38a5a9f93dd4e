"""Slots: tensors alive together never overlap, and nothing but zeros stands in front of any."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from sparsenet.plan.arena import Buffer
from sparsenet.targets.cuda.layout import LINE_FLOATS
from sparsenet.targets.cuda.slots import place


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Buffer]:
    count = draw(st.integers(1, 12))
    found = []
    for _ in range(count):
        first = draw(st.integers(0, 8))
        found.append(Buffer(draw(st.integers(1, 300)), first, first + draw(st.integers(0, 5))))
    return found


@given(lifetimes(), st.integers(0, 70))
def test_memory_and_guards_are_nobody_elses(tensors: list[Buffer], guard: int) -> None:
    end = place(tensors, guard)
    for a, b in combinations(tensors, 2):
        if a.first <= b.last and b.first <= a.last:
            assert a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
    for tensor in tensors:
        assert tensor.offset % LINE_FLOATS == 0
        assert guard <= tensor.offset
        assert tensor.offset + tensor.size + guard <= end
        # Whoever it is and whenever it lives: no tensor reaches into the zeros in front of another.
        assert not any(
            other.offset < tensor.offset and other.offset + other.size > tensor.offset - guard
            for other in tensors
        )


def test_tensors_take_turns() -> None:
    chain = [Buffer(100, i, i + 1) for i in range(10)]
    assert place(chain, 0) <= 2 * 128
