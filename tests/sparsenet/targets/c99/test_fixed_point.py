"""Bytes of sums by one integer product: the same as by a float32 product, for every sum that there can be."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet.targets.c99.kernels.bytes import FRACTION
from sparsenet.targets.c99.lower.fixed_point import NO_LINE, fixed_point


@pytest.mark.parametrize("zero", [0, 128, 255])
def test_every_sum_gives_the_same_byte(zero: int) -> None:
    rng = np.random.default_rng(zero)
    multiplier = np.exp(rng.uniform(np.log(2e-4), np.log(3e-2), 20)).astype(np.float32)
    least, most = rng.integers(-200_000, -10, 20), rng.integers(0, 200_000, 20)
    least[0] = most[0] = 7
    multiplier[1], least[1], most[1] = 1e-9, 10**9, 10**9
    found = fixed_point(multiplier, zero, least, most)
    assert (found.added[:2] != NO_LINE).all()
    assert found.lines >= 16
    for channel in np.flatnonzero(found.added != NO_LINE):
        sums = np.arange(least[channel], most[channel] + 1)
        expected = np.clip(
            np.rint(sums.astype(np.float32) * multiplier[channel]).astype(np.int64) + zero, 0, 255
        )
        product = (sums + found.moved[channel]) * int(found.factor[channel])
        number = (product >> 32) + int(found.added[channel])
        assert np.abs(sums + found.moved[channel]).max() < 2**31
        assert np.abs(number).max() < 2**31
        np.testing.assert_array_equal(np.clip(number >> FRACTION, 0, 255), expected)


def test_what_has_no_line_keeps_its_multiplier() -> None:
    """Steep, falling, or zero; and sums so large that float32 rounds them."""
    multiplier = np.array([0.5, -0.01, 0.0, 1e-7], np.float32)
    found = fixed_point(multiplier, 3, np.full(4, -(2**30)), np.full(4, 2**30))
    none = found.added == NO_LINE
    assert none[:3].all()
    np.testing.assert_array_equal(found.factor.view(np.float32)[none], multiplier[none])
    np.testing.assert_array_equal(found.moved[none], 0)
