"""Histograms that grow: the same whatever order and pieces the numbers come in."""

from __future__ import annotations

import numpy as np
import pytest

from converters.quantization.histogram import BINS, Histogram


def _of(*arrays: np.ndarray) -> Histogram:
    made = Histogram()
    for array in arrays:
        made.add(array)
    return made


@pytest.mark.parametrize("number", [0.0, 1e-45, 1.0, -1.0, 0.99999994, 2.0, 3.4e38, -3.4e38])
def test_each_number_is_counted_in_its_bin(number: float) -> None:
    seen = _of(np.float32([number]))
    (place,) = np.flatnonzero(seen.counts)
    assert abs(seen.centres[place] - np.float64(np.float32(number))) <= seen.width / 2
    assert seen.least == seen.most == np.float32(number)
    assert number == 0 or abs(place - BINS) >= BINS // 2 - 1, "the bins are as narrow as they can be"


def test_neither_order_nor_pieces_matter() -> None:
    rng = np.random.default_rng(0)
    scales = (0.0, 1e-3, 1, 0.1, 50, 1e-30)
    parts = [(scale * rng.standard_normal((7, 90))).astype(np.float32) for scale in scales]
    one, other, merged = _of(*parts), _of(np.concatenate(parts[::-1])), Histogram()
    for part in parts[::-1]:
        merged.merge(_of(part))
    merged.merge(Histogram())
    ends = Histogram(counted=False)
    ends.add(np.concatenate(parts))
    assert not ends.counts.any()
    assert (ends.least, ends.most) == (one.least, one.most)
    numbers = np.concatenate(parts)
    expected, _ = np.histogram(numbers, np.arange(-BINS, BINS + 1) * one.width)
    for seen in (one, other, merged):
        assert np.array_equal(seen.counts, expected)
        assert (seen.least, seen.most, seen.width) == (numbers.min(), numbers.max(), one.width)
