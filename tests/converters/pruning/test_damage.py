"""Changes of outputs, and what is known of them between two measurements."""

from __future__ import annotations

import numpy as np
import pytest

from converters import from_onnx
from converters.pruning.damage import change, compared, follow
from converters.pruning.layers import prepared
from tests.converters.detectors import ssd, yolo
from tests.converters.pruning.networks import network


def test_a_change_is_told_by_the_variance_over_samples() -> None:
    rng = np.random.default_rng(0)
    exact = {"a": rng.standard_normal((50, 3, 2), np.float32), "b": np.ones((50, 4), np.float32)}
    assert change(exact, exact) == 0
    means = {"a": np.broadcast_to(exact["a"].mean(axis=0), (50, 3, 2)), "b": exact["b"]}
    assert change(exact, means) == pytest.approx(1)


def test_what_boxes_were_chosen_from_is_compared() -> None:
    assert compared(network()) == ["y"]
    for make, boxes, scores in (
        (ssd, (None, 1, 396, 4), (None, 1, 3, 396)),
        (yolo, (None, 1, 240, 4), (None, 1, 240, 5)),
    ):
        graph, layers = prepared(from_onnx(make(), batch="fixed"), ())
        facts, names = graph.facts(), compared(graph)
        assert {boxes, scores} <= {facts.shapes[name] for name in names}
        assert not {*names} & {*facts.partial, *graph.outputs}
        assert [layer.name.startswith("Conv") for layer in layers] == [True] * len(
            layers
        )  # no matrix of corners


def test_powers_are_found_again() -> None:
    lost = np.array([0.0, 0.01, 0.04, 0.1, 0.3, 0.7])
    power = 2.5 * lost**1.5
    np.testing.assert_allclose(follow(lost, [1, 3], power[[1, 3]].tolist()), power, rtol=1e-9)
    three = follow(lost, [1, 3, 5], [0.1, 0.4, 0.5])
    np.testing.assert_allclose(three[[1, 3]], [0.1, 0.4], rtol=1e-9)
    assert (np.diff(three) > 0).all()
    flat = follow(lost, [1, 3], [0.0, 0.0])
    assert flat[0] == 0
    assert np.isfinite(flat).all()
    assert (np.diff(flat) >= 0).all()
