"""Every convolution kernel against the oracle: geometry below, at and above a tile, every density, every epilogue."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsenet import Engine, Graph, Node, TensorInfo
from sparsenet.targets.host import host
from tests.full import FULL, chosen, crossed, spread
from tests.sparsenet.against_reference import assert_engine_matches


def conv_graph(
    size: tuple[int, int],
    channels: tuple[int, int],
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    sparsity: float = 0.0,
    epilogue: tuple[list[Any], ...] = (),
    seed: int = 0,
) -> Graph:
    """A graph of one convolution; weights pruned at random; epilogue tensors made as needed."""
    rng = np.random.default_rng(seed)
    c_in, c_out = channels
    weight = rng.standard_normal((c_out, c_in // groups, *kernel)).astype(np.float32)
    weight[rng.random(weight.shape) < sparsity] = 0
    constants = {"weight": weight, "bias": rng.standard_normal(c_out).astype(np.float32)}
    inputs, extra = ["x", "weight", "bias"], []
    attrs = {
        "stride": list(stride),
        "padding": list(padding),
        "dilation": list(dilation),
        "groups": groups,
        "epilogue": list(epilogue),
    }
    node = Node("conv2d", "conv", inputs, ["y"], attrs)
    infos = [TensorInfo("x", (None, c_in, *size))]
    plain = Graph(
        "plain", infos, ["y"], [Node("conv2d", "conv", inputs, ["y"], {**attrs, "epilogue": []})], constants
    )
    for step in epilogue:
        if step[0] == "affine":
            constants["scale"] = rng.standard_normal(c_out).astype(np.float32)
            constants["shift"] = rng.standard_normal(c_out).astype(np.float32)
            extra += ["scale", "shift"]
        elif step[0] == "add":
            infos = [*infos, TensorInfo("residual", plain.shapes()["y"])]
            extra.append("residual")
    node.inputs = inputs + extra
    graph = Graph("conv", infos, ["y"], [node], constants)
    graph.verify()
    return graph


# Widths around a vector (16), half a vector, several vectors; heights around a tile of rows.
SIZES = [(1, 1), (1, 17), (7, 7), (8, 5), (14, 14), (13, 16), (6, 33), (9, 64), (5, 112), (3, 130)]


@pytest.mark.parametrize("size, sparse", crossed(spread(SIZES), [True, False]), ids=str)
def test_pointwise_sizes(size: tuple[int, int], sparse: bool) -> None:
    assert_engine_matches(conv_graph(size, (9, 13), (1, 1), sparsity=0.8), sparse=sparse)


GEOMETRIES: list[tuple[tuple[int, int], dict[str, Any]]] = [
    ((14, 14), {"padding": (1, 1, 1, 1)}),
    ((15, 17), {"padding": (1, 1, 1, 1), "stride": (2, 2)}),
    ((16, 16), {"padding": (0, 0, 1, 1), "stride": (2, 2)}),
    ((16, 40), {"padding": (2, 0, 1, 3), "stride": (1, 2)}),
    ((16, 19), {"padding": (2, 3, 2, 3), "dilation": (2, 3)}),
    ((20, 33), {"padding": (1, 1, 1, 1), "stride": (3, 3)}),
    ((20, 33), {"padding": (0, 2, 0, 2), "stride": (2, 4), "dilation": (1, 2)}),
    ((10, 10), {"padding": (1, 1, 1, 1), "groups": 4}),
    ((9, 9), {}),
]


@pytest.mark.parametrize("geometry, sparse", crossed(GEOMETRIES, [True, False]), ids=str)
def test_3x3_geometry(geometry: tuple[tuple[int, int], dict[str, Any]], sparse: bool) -> None:
    size, options = geometry
    assert_engine_matches(conv_graph(size, (8, 12), (3, 3), sparsity=0.8, **options), sparse=sparse)


@pytest.mark.parametrize("window, sparse", crossed([(14, 3, 2), (13, 1, 2), (20, 3, 3)], [True, False]))
def test_strided_windows_into_a_folded_map(window: tuple[int, int, int], sparse: bool) -> None:
    """The second convolution's halo makes room for the first one's windows: both take the map for one line."""
    size, kernel, stride = window
    half = kernel // 2
    graph = conv_graph(
        (size, size), (8, 12), (kernel, kernel), stride=(stride, stride), padding=(half,) * 4, sparsity=0.8
    )
    after = conv_graph((1, 1), (12, 9), (3, 3), padding=(1, 1, 1, 1), sparsity=0.8)
    graph.constants |= {"weight2": after.constants["weight"], "bias2": after.constants["bias"]}
    graph.nodes.append(Node("conv2d", "second", ["y", "weight2", "bias2"], ["z"], after.nodes[0].attrs))
    graph.outputs = ["z"]
    assert_engine_matches(graph, sparse=sparse)
    rows = {s.layer: s.units for segment in Engine(graph, 1).plan.segments for s in segment.stages}
    if host().vector().lanes == 16:  # shorter vectors waste less on such maps: they stay unfolded
        assert rows["conv"] == 1


@pytest.mark.parametrize("c_out", chosen([1, 9], [1, 2, 7, 8, 9, 17]))
def test_output_channels_around_the_dense_block(c_out: int) -> None:
    assert_engine_matches(conv_graph((6, 20), (3, c_out), (3, 3), padding=(1, 1, 1, 1)))


@pytest.mark.parametrize("sparsity", chosen([0.0, 0.5, 1.0], [0.0, 0.3, 0.5, 0.9, 1.0]))
def test_every_density(sparsity: float) -> None:
    """At 1.0 every weight is zero: the output is the bias."""
    assert_engine_matches(conv_graph((10, 30), (16, 8), (3, 3), padding=(1, 1, 1, 1), sparsity=sparsity))


#: Kernel, stride, padding and size.
WINDOWS: list[tuple[tuple[int, int], tuple[int, int], Any, tuple[int, int]]] = [
    ((3, 3), (1, 1), (1, 1, 1, 1), (17, 35)),
    ((3, 3), (2, 2), (1, 1, 1, 1), (17, 35)),
    ((3, 3), (2, 2), (0, 0, 1, 1), (14, 14)),
    ((5, 5), (1, 1), (2, 2, 2, 2), (9, 16)),
    ((5, 5), (2, 2), (2, 2, 2, 2), (56, 56)),
    ((3, 3), (3, 3), (1, 1, 1, 1), (20, 20)),
    ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
]


@pytest.mark.parametrize("window, multiplier", crossed(WINDOWS, [1, 2]), ids=str)
def test_depthwise(window: tuple[Any, ...], multiplier: int) -> None:
    kernel, stride, padding, size = window
    graph = conv_graph(size, (6, 6 * multiplier), kernel, stride=stride, padding=padding, groups=6)
    engine = assert_engine_matches(graph)
    assert engine.explain()[0].kernel.startswith("f32_depthwise")


@pytest.mark.parametrize("left, stride", crossed(chosen([17, 127], [17, 31, 62, 127]), [1, 2]))
def test_depthwise_with_padding_wider_than_a_vector(left: int, stride: int) -> None:
    graph = conv_graph((11, 11), (4, 4), (3, 3), padding=(1, left, 1, 1), stride=(stride, stride), groups=4)
    assert_engine_matches(graph)


EPILOGUES: list[tuple[list[Any], ...]] = [
    (["relu"],),
    (["relu"], ["affine"]),
    (["add"], ["relu"]),
    (["affine"], ["add"], ["leaky_relu", 0.1]),
    (["clip", -0.5, 1.5],),
]
ACTIVATIONS: list[tuple[list[Any], ...]] = [
    (["sigmoid"],),
    (["tanh"],),
    (["silu"],),
    (["hard_sigmoid"],),
    (["hard_swish"],),
]
KINDS = ["csr", "dense", "depthwise", "one pixel"]
#: All kinds of weights share one implementation of an epilogue: each needs every kind of operand once.
KINDS_IN_TURN = [
    *((kind, epilogue) for kind in KINDS for epilogue in (EPILOGUES if kind == "csr" else EPILOGUES[3:4])),
    ("dense", ACTIVATIONS[0]),
]


def named(value: str | tuple[list[Any], ...]) -> str:
    return value if isinstance(value, str) else "-".join(step[0] for step in value)


@pytest.mark.parametrize(
    "kind, epilogue", chosen(KINDS_IN_TURN, itertools.product(KINDS, EPILOGUES + ACTIVATIONS)), ids=named
)
def test_epilogues(epilogue: tuple[list[Any], ...], kind: str) -> None:
    if kind == "one pixel":
        graph = conv_graph((5, 5), (4, 21), (5, 5), sparsity=0.9, epilogue=epilogue)
    else:
        groups, sparsity = (8, 0.0) if kind == "depthwise" else (1, 0.9)
        graph = conv_graph(
            (7, 23), (8, 8), (3, 3), padding=(1, 1, 1, 1), groups=groups, sparsity=sparsity, epilogue=epilogue
        )
    assert_engine_matches(graph, sparse=kind != "dense")


def test_a_map_of_one_pixel_is_a_matrix_product() -> None:
    """MaskCNN's last layer: the window covers the map."""
    for sparsity, kernel in ((0.0, "f32_linear_dense_flat"), (0.9, "f32_linear_csr_flat")):
        engine = assert_engine_matches(conv_graph((31, 31), (5, 2), (31, 31), sparsity=sparsity))
        assert engine.explain()[0].kernel.startswith(kernel)


def test_a_padded_window_over_one_pixel_keeps_the_taps_inside() -> None:
    assert_engine_matches(conv_graph((1, 1), (6, 5), (3, 3), padding=(1, 1, 1, 1)))


@st.composite
def geometries(draw: st.DrawFn) -> Graph:
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = [draw(st.integers(0, 3)) for _ in range(4)]
    size = tuple(draw(st.integers(max(1, extent[i] - padding[i] - padding[i + 2]), 40)) for i in (0, 1))
    groups = draw(st.sampled_from([1, 1, 2]))
    return conv_graph(
        size,  # type: ignore[arg-type]
        (draw(st.integers(1, 3)) * groups, draw(st.integers(1, 4)) * groups),
        kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        padding=tuple(padding),  # type: ignore[arg-type]
        dilation=dilation,
        groups=groups,
        sparsity=draw(st.sampled_from([0.0, 0.7])),
        seed=draw(st.integers(0, 99)),
    )


@settings(max_examples=60 if FULL else 8)
@given(geometries())
def test_drawn_geometries(graph: Graph) -> None:
    assert_engine_matches(graph)
