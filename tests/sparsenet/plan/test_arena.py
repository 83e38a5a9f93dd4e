"""The arena's one law: no two buffers alive in the same step overlap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sparsenet.plan.arena import ALIGNMENT, Buffer, place

buffers = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(0, 20), st.integers(0, 8)).map(
        lambda t: Buffer(t[0], t[1], t[1] + t[2])
    ),
    max_size=25,
)


@given(buffers)
def test_live_buffers_never_overlap(some: list[Buffer]) -> None:
    size = place(some)
    for i, a in enumerate(some):
        assert a.offset % ALIGNMENT == 0
        assert a.offset + a.size <= size
        for b in some[:i]:
            if a.first <= b.last and b.first <= a.last:
                assert a.offset + a.size <= b.offset or b.offset + b.size <= a.offset


def test_memory_is_reused() -> None:
    chain = [Buffer(1000, step, step + 1) for step in range(10)]
    assert place(chain) <= 2 * 1024
    assert place([]) == 0
