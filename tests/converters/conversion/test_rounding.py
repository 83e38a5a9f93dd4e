"""How far rounding moves a tensor, found by nudging."""

from __future__ import annotations

import numpy as np
import pytest

from converters.conversion.rounding import magnitudes
from tests.converters.passes.networks import Net


def test_the_magnitude_of_a_difference_is_that_of_what_cancelled() -> None:
    net = Net((4,))
    large = net.op("add", "x", net.constant("c", [1000.3]))
    small = net.op("sub", large, net.constant("d", [1000.2]))
    graph = net.graph(small)
    found = magnitudes(graph, {"x": np.zeros((50, 4), np.float32)})
    assert 500 < found[large] < 2100  # a sum of two such roundings, and its own
    assert 500 < found[small] < 4000


def test_whole_numbers_are_not_rounded_and_choices_stay() -> None:
    net = Net((2, 3))
    where = net.op("argmax", "x", axis=2)
    picked = net.op("gather_elements", "x", where, axis=2)
    found = magnitudes(
        net.graph(picked), {"x": np.array([[[0.5, 0.5 + 1e-6, 0.25], [7.5, 1.0, 2.0]]], np.float32)}
    )
    assert found[where] == 0
    assert found[picked] == pytest.approx(7.5, rel=0.99)
    assert found[picked] > 0
