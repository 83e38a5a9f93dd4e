"""A depthwise and a 1x1 convolution in one kernel, and when that is what a plan does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.targets.cuda.builder import Options
from sparsenet.targets.cuda.make import make_plan
from sparsenet.targets.cuda.runtime.session import Session
from tests.full import chosen, crossed, spread
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.targets.cuda.against_oracle import pruned

FUSED = "f32_separable_"


def pair(
    channels: int = 5, outputs: int = 7, size: tuple[int, int] = (5, 6), zeros: float = 0.6,
    kernel: tuple[int, int] = (3, 3), words: Any = (), depth_words: Any = (), extra: tuple[str, ...] = (), **depth: Any,
) -> Graph:  # fmt: skip
    """The two of them; ``depth`` are attributes of the first."""
    depth = {"padding": [kernel[0] // 2, kernel[1] // 2] * 2, **depth}
    nodes = [
        Node(
            "conv2d", "depth", ["x", "d", "db"], ["between"],
            {**depth, "groups": channels, "epilogue": list(depth_words)},
        ),
        Node("conv2d", "point", ["between", "p", "pb", *extra], ["y"], {"epilogue": list(words)}),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    constants = {
        "d": pruned((channels, 1, *kernel), 0.2),
        "db": rng.standard_normal(channels).astype(np.float32),
        "p": pruned((outputs, channels, 1, 1), zeros, 1),
        "pb": rng.standard_normal(outputs).astype(np.float32),
    }
    return Graph("pair", [TensorInfo("x", (None, channels, *size))], ["y"], nodes, constants)


def candidates_of(graph: Graph, sparse: bool = True, batch: int = 1) -> dict[str, Options]:
    """Kernel of the 1x1 convolution → options that choose it, of every candidate."""
    found = {}
    for trial in range(12):
        options = Options(batch, sparse, 1, trial)
        found[make_plan(graph, options).launches[-2].kernel.name] = options
    return found


def assert_fused_matches(graph: Graph, batch: int = 1, sparse: bool = True) -> None:
    """Fused candidates against the oracle: a third of them, or all."""
    feeds = random_feeds(graph, batch)
    want = reference.run(graph, feeds)["y"]
    fused = [o for name, o in candidates_of(graph, sparse, batch).items() if name.startswith(FUSED)]
    assert fused
    for options in spread(fused):
        plan = make_plan(graph, options)
        assert [launch.layer for launch in plan.launches].count("depth") == 0
        (got,) = Session(plan).run([feeds["x"]])
        assert np.abs(got - want).max() < 3e-6 * max(np.abs(want).max(), 1e-6)


@pytest.mark.parametrize("zeros, sparse", crossed([0.0, 0.6, 1.0], [False, True]))
def test_sparse_and_dense_weights(zeros: float, sparse: bool) -> None:
    assert_fused_matches(pair(zeros=zeros), batch=2, sparse=sparse)


@pytest.mark.parametrize(
    "depth",
    [
        {"stride": [1, 2], "padding": [0, 1, 2, 0]},
        {"kernel": (5, 5), "stride": [2, 1]},
        {"dilation": [5, 1], "padding": [5, 1, 5, 1]},  # beyond the shared zeros: reads a padded copy
        {"kernel": (1, 3)},
        *chosen([], [{"stride": [2, 2]}, {"dilation": [2, 2], "padding": [2] * 4}]),
    ],
)
def test_windows(depth: dict[str, Any]) -> None:
    assert_fused_matches(pair(size=(7, 6), **depth), batch=2)


@pytest.mark.parametrize("channels, outputs, size", [(2, 1, (1, 1)), (33, 3, (3, 3)), (3, 40, (2, 17))])
def test_sizes_around_the_tiles(channels: int, outputs: int, size: tuple[int, int]) -> None:
    assert_fused_matches(pair(channels, outputs, size))


def test_both_epilogues_run_in_order() -> None:
    graph = pair(
        4,
        4,
        words=[["add"], ["clip", -0.5, 3.0]],
        depth_words=[["clip", -1.0, 1.5], ["hard_swish"]],
        extra=("x",),
    )
    assert_fused_matches(graph, batch=2)
    graph.nodes[0].inputs.append("x")
    graph.nodes[0].attrs["epilogue"] = [["add"], ["leaky_relu", 0.2]]
    assert_fused_matches(graph, batch=2)


def test_a_nan_stays_within_the_windows_that_reach_it() -> None:
    graph = pair(3, 3, (6, 6), zeros=0.0)
    x = np.ones((1, 3, 6, 6), np.float32)
    x[0, 1, 2, 2] = np.nan
    options = [o for name, o in candidates_of(graph).items() if name.startswith(FUSED)]
    (y,) = Session(make_plan(graph, options[0])).run([x])
    assert np.isnan(y[:, :, 1:4, 1:4]).all()
    assert np.isnan(y).sum() == 27


@pytest.mark.parametrize("spoil", ["output", "reader", "stride", "padding", "wide", "grouped"])
def test_what_cannot_be_one_kernel_is_two(spoil: str) -> None:
    graph = pair(1600 if spoil == "wide" else 4, 4)
    if spoil == "output":
        graph.outputs = ["y", "between"]
    elif spoil == "reader":
        graph.nodes.append(Node("relu", "other", ["between"], ["z"]))
        graph.outputs.append("z")
    elif spoil == "stride":
        graph.nodes[1].attrs["stride"] = [2, 2]
    elif spoil == "padding":
        graph.nodes[1].attrs["padding"] = [1, 1, 1, 1]
    elif spoil == "grouped":
        graph.nodes[1].attrs["groups"] = 2
        graph.constants["p"] = graph.constants["p"][:, :2].copy()
    for trial in range(12):
        kernels = [launch.kernel.name for launch in make_plan(graph, Options(trial=trial)).launches]
        assert not any(name.startswith(FUSED) for name in kernels)
        assert sum("_depthwise_" in name for name in kernels) == 1


def test_what_is_as_short_as_a_launch_is_fused_and_the_plan_says_why() -> None:
    graph = pair(64, 64, (56, 56), zeros=0.9)
    decisions = {d.layer: d for d in make_plan(graph, Options(processors=132)).decisions}
    assert decisions["point"].kernel.startswith(FUSED)
    assert "with 'depth' in one kernel" in decisions["point"].reason
    assert decisions["depth"].reason == "part of 'point'"
    assert decisions["depth"].macs == 64 * 9 * 56 * 56


def test_measured_times_decide() -> None:
    graph = pair()
    count = len(candidates_of(graph))
    slow = [1.0] * 12
    apart = {"point": [0.5, *slow[1:]], "depth": [0.2]}
    fused = {"point": [*slow[: count - 1], 0.6], "depth": [0.2]}
    for measured, name in ((apart, "f32_conv_"), (fused, FUSED)):
        decisions = {d.layer: d for d in make_plan(graph, Options(processors=1, measured=measured)).decisions}
        assert decisions["point"].kernel.startswith(name)
