"""Sparse and dense convolutions on a GPU, by the edges of their tiles and layouts."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo
from tests.full import crossed, spread
from tests.sparsenet.targets.cuda.against_oracle import assert_gpu_matches, conv_graph, pruned


@pytest.mark.parametrize("zeros, sparse", crossed([0.0, 0.5, 0.9, 1.0], [False, True]))
def test_pointwise(zeros: float, sparse: bool) -> None:
    assert_gpu_matches(conv_graph(pruned((5, 7, 1, 1), zeros), (2, 7, 5, 6)), batch=2, sparse=sparse)


@pytest.mark.parametrize("kernel", spread([(1, 3), (5, 5), (7, 7), (2, 2), (3, 3), (3, 1)]))
def test_kernel_sizes(kernel: tuple[int, int]) -> None:
    weight = pruned((3, 2, *kernel), 0.6)
    pad = [kernel[0] // 2, kernel[1] // 2] * 2
    assert_gpu_matches(conv_graph(weight, (2, 2, 7, 6), padding=pad), batch=2)


@pytest.mark.parametrize(
    "padding, stride",
    crossed([[0, 0, 0, 0], [0, 1, 2, 0], [2, 2, 1, 1], [5, 0, 0, 4]], [[1, 1], [2, 2], [1, 3]]),
)
def test_strides_and_asymmetric_padding(padding: list[int], stride: list[int]) -> None:
    graph = conv_graph(pruned((4, 3, 3, 3), 0.5), (2, 3, 6, 7), padding=padding, stride=stride)
    assert_gpu_matches(graph, batch=2)


@pytest.mark.parametrize("sparse", [True, False])
def test_dilation_and_groups(sparse: bool) -> None:
    graph = conv_graph(
        pruned((6, 2, 3, 3), 0.5), (1, 4, 8, 7), padding=[2, 2, 2, 2], dilation=[2, 2], groups=2
    )
    assert_gpu_matches(graph, sparse=sparse)


def test_a_dilation_beyond_the_shared_zeros_reads_a_padded_copy() -> None:
    engine = assert_gpu_matches(
        conv_graph(pruned((2, 2, 3, 3), 0.3), (2, 2, 6, 6), padding=[5] * 4, dilation=[5, 5]), batch=2
    )
    assert len(engine.explain()) == 1


def test_rows_without_weights_give_their_bias() -> None:
    weight = pruned((6, 4, 1, 1), 0.3)
    weight[[0, 3, 5]] = 0
    assert_gpu_matches(conv_graph(weight, (1, 4, 3, 3)))


@pytest.mark.parametrize("outputs, sparse", crossed([1, 3, 4, 9], [True, False]))
def test_outputs_around_the_rows_of_a_tile(outputs: int, sparse: bool) -> None:
    assert_gpu_matches(conv_graph(pruned((outputs, 16, 1, 1), 0.5), (1, 16, 4, 9)), sparse=sparse)


def test_a_long_product_is_split_among_threads() -> None:
    engine = assert_gpu_matches(conv_graph(pruned((3, 300, 1, 1), 0.5), (1, 300, 1, 1)))
    splits = int(engine.explain()[0].kernel.split("_")[-1].split("x")[3])
    assert splits > 1


@pytest.mark.parametrize("batch, zeros", crossed([1, 5], [0.0, 0.8]))
def test_linear(batch: int, zeros: float) -> None:
    graph = Graph(
        "linear",
        [TensorInfo("x", (None, 40))],
        ["y"],
        [Node("linear", "fc", ["x", "w", "b"], ["y"], {"epilogue": [["relu"]]})],
        {"w": pruned((10, 40), zeros), "b": np.linspace(-3, 3, 10).astype(np.float32)},
    )
    assert_gpu_matches(graph, batch=batch)


def test_the_epilogue_runs_in_order() -> None:
    graph = Graph(
        "residual",
        [TensorInfo("x", (None, 4, 5, 5)), TensorInfo("r", (None, 6, 5, 5))],
        ["y"],
        [
            Node("relu", "before", ["r"], ["skip"]),
            Node(
                "conv2d", "conv", ["x", "w", "", "skip", "scale", "shift"], ["y"],
                {"epilogue": [["leaky_relu", 0.1], ["add"], ["clip", -1.0, 2.0], ["affine"], ["sigmoid"]]},
            ),
        ],
        {
            "w": pruned((6, 4, 1, 1), 0.5),
            "scale": np.linspace(0.5, 2, 6).astype(np.float32),
            "shift": np.linspace(-1, 1, 6).astype(np.float32),
        },
    )  # fmt: skip
    assert_gpu_matches(graph, batch=2)


def test_halos_stay_zero_between_convolutions() -> None:
    """relu(bias) is not zero: were it written beside the map, the second convolution would read it as padding."""
    nodes = [
        Node("conv2d", "a", ["x", "w1", "bias"], ["a"], {"epilogue": [["relu"]]}),
        Node("conv2d", "b", ["a", "w2", "bias"], ["b"], {"padding": [1] * 4, "epilogue": [["relu"]]}),
        Node("conv2d", "c", ["b", "w2", "bias"], ["c"], {"padding": [1] * 4, "stride": [2, 2]}),
    ]
    constants = {
        "w1": pruned((4, 4, 1, 1), 0.5),
        "w2": pruned((4, 4, 3, 3), 0.5),
        "bias": np.ones(4, np.float32),
    }
    graph = Graph("chain", [TensorInfo("x", (None, 4, 6, 5))], ["c"], nodes, constants)
    assert_gpu_matches(graph, batch=3)


@pytest.mark.parametrize("stride, kernel", crossed([1, 2], [3, 5]))
def test_depthwise(stride: int, kernel: int) -> None:
    weight = pruned((3, 1, kernel, kernel), 0.2)
    for height in (2, 7):
        graph = conv_graph(
            weight, (2, 3, height, 6), padding=[kernel // 2] * 4, stride=[stride, stride], groups=3
        )
        assert_gpu_matches(graph, batch=2)


def test_depthwise_with_a_multiplier_dilation_and_asymmetric_padding() -> None:
    weight = pruned((6, 1, 3, 2), 0.0)
    graph = conv_graph(weight, (1, 3, 7, 6), padding=[3, 0, 1, 2], dilation=[2, 1], stride=[1, 2], groups=3)
    assert_gpu_matches(graph)


def test_a_nan_comes_out_as_nan() -> None:
    graph = conv_graph(pruned((3, 2, 1, 1), 0.0), (1, 2, 3, 3))
    graph.nodes[0].attrs["epilogue"] = [["relu"]]
    x = np.ones((1, 2, 3, 3), np.float32)
    x[0, 0, 1, 1] = np.nan
    y = Engine(graph, device="cuda")(x)
    assert isinstance(y, np.ndarray)
    assert np.isnan(y[:, :, 1, 1]).all()
    assert np.isfinite(np.delete(y.reshape(1, 3, 9), 4, axis=2)).all()
