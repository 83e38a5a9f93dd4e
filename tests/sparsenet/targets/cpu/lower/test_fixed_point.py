"""Fixed-point multipliers make what float32 makes, of every sum."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet.targets.cpu.lower.fixed_point import multipliers, range_of_sums
from sparsenet.targets.cpu.panels import SHIFT


@pytest.mark.parametrize("zero", [0, 3, 255])
@pytest.mark.parametrize("exponent", [-6, -8, -10])
def test_every_sum(exponent: int, zero: int) -> None:
    rng = np.random.default_rng(0)
    scale = np.exp2(exponent + rng.uniform(-1, 1, 40)).astype(np.float32)
    scale[:2] = 2.0**exponent, 3 * 2.0**exponent  # many sums are exactly half way
    most = np.minimum(300 / scale, 2**22).astype(np.int64)
    least, low, high = -most // 2, np.full(40, -zero), 255 - np.arange(40) - zero
    made = multipliers(scale, least, most, low, high)
    assert np.count_nonzero(made) > 10
    for channel in np.flatnonzero(made):
        sums = np.arange(least[channel], most[channel] + 1)
        wanted = np.rint(sums.astype(np.float32) * scale[channel]).astype(np.int64)
        steps = ((sums * int(made[channel]) >> 31) + (1 << (SHIFT - 1))) >> SHIFT
        limits = low[channel], high[channel]
        np.testing.assert_array_equal(np.clip(steps, *limits), np.clip(wanted, *limits))


def test_none_is_made_where_none_is_right() -> None:
    """Of a scale of 1/2, whose halves are rounded to even numbers, and of one whose product has no 31 bits."""
    least, most, low, high = (np.full(2, number) for number in (-1000, 1000, 0, 255))
    assert not multipliers(np.float32([0.5, 1.0]), least, most, low, high).any()


def test_a_channel_of_zeros() -> None:
    """Its sums are all the same, whatever its scale."""
    ends = range_of_sums(np.zeros((1, 4), np.int8), np.int32([12345]), 7)
    assert ends[0] == ends[1] == 12345
    made = multipliers(np.float32([1e-9]), *ends, np.array([0]), np.array([255]))
    assert (12345 * int(made[0]) >> 31) + (1 << (SHIFT - 1)) >> SHIFT == 0
