"""Plans for a large GPU, run as machine code of this CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.targets.cuda.builder import Options
from sparsenet.targets.cuda.make import make_plan
from sparsenet.targets.registry import FAMILIES
from tests.full import FULL
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.targets.cuda.against_oracle import conv_graph, pruned
from tests.sparsenet.targets.cuda.native import run_plan
from tests.sparsenet.targets.cuda.simulator import ON_GPU
from tests.sparsenet.targets.cuda.test_engine import small_mobilenet

pytestmark = pytest.mark.skipif(ON_GPU, reason="kernels are made for the GPU here")


def test_a_network_on_a_gpu_of_many_processors() -> None:
    graph = small_mobilenet()
    if not FULL:  # the stem, and a depthwise-separable block with its residual
        graph.nodes, graph.outputs = graph.nodes[:3], ["pw1"]
    feeds = random_feeds(graph, 3)
    want = reference.run(graph, feeds)
    got = run_plan(make_plan(graph, Options(batch=3, processors=132)), list(feeds.values()))
    for name, value in zip(graph.outputs, got, strict=True):
        assert np.abs(value - want[name]).max() < 3e-6 * np.abs(want[name]).max()


def test_what_threads_behind_the_last_pixel_read_is_there() -> None:
    """The taps of a column reach further beyond the last channel than such a thread stands."""
    nodes = [
        Node("relu", "before", ["x"], ["a"]),
        Node("conv2d", "conv", ["a", "w"], ["b"], {"padding": [1, 0, 1, 0]}),
        Node("relu", "after", ["b"], ["y"]),
    ]
    weight = {"w": np.ones((1, 1, 3, 1), np.float32)}
    graph = Graph("column", [TensorInfo("x", (None, 1, 2, 96))], ["y"], nodes, weight)
    feeds = random_feeds(graph)
    plan = make_plan(graph, Options(trial=2))
    assert any("_conv_" in launch.kernel.name and launch.kernel.lanes == 4 for launch in plan.launches)
    (got,) = run_plan(plan, list(feeds.values()))
    np.testing.assert_allclose(got, reference.run(graph, feeds)["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("argument, change", [("out", 10**6), ("x", -(10**6)), ("out", 2)])
def test_accesses_out_of_bounds_or_not_aligned_are_noticed(argument: str, change: int) -> None:
    graph = conv_graph(pruned((8, 8, 1, 1), 0.5), (1, 8, 16, 16))
    plans = (make_plan(graph, Options(trial=trial)) for trial in range(8))
    plan = next(
        p for p in plans if any("_conv_" in x.kernel.name and x.kernel.lanes == 4 for x in p.launches)
    )
    spoiled = []
    for launch in plan.launches:
        if "_conv_" in launch.kernel.name:
            integers = list(launch.integers)
            integers[FAMILIES[launch.kernel.family].arguments.index(argument)] += change
            launch = replace(launch, integers=tuple(integers))
        spoiled.append(launch)
    assert spoiled != plan.launches
    with pytest.raises(AssertionError, match="out of bounds or not aligned"):
        run_plan(replace(plan, launches=spoiled), list(random_feeds(graph).values()))
