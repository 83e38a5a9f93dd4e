"""Sine and cosine, spelt out, against float64."""

from __future__ import annotations

import numpy as np
import pytest

from converters.builder import GraphBuilder, Site
from converters.decompose.trigonometry import sine
from sparsenet import Engine, reference


@pytest.mark.parametrize("cosine", [False, True])
def test_sine_and_cosine(cosine: bool) -> None:
    builder = GraphBuilder("waves")
    wave = sine(builder, Site("wave", "wave"), builder.input("x", (None, 3)), cosine=cosine)
    graph, _ = builder.finish([("y", wave)])
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-reach, reach, (500, 3)) for reach in (1e-3, 2, 100, 1e4)])
    edges = np.pi * np.arange(-60, 60).reshape(40, 3) / 4
    x = np.concatenate([x, edges, np.nextafter(edges.astype(np.float32), 1)]).astype(np.float32)
    expected = (np.cos if cosine else np.sin)(x.astype(np.float64))
    for result in (reference.run(graph, {"x": x})["y"], Engine(graph, threads=1)(x)):
        assert np.abs(result - expected).max() <= 2e-7
    small = x[:500]
    if not cosine:
        np.testing.assert_allclose(Engine(graph, threads=1)(small), np.sin(small), rtol=3e-7)
