"""The compared networks: zeros where the note says, activations that stay alive."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.subjects.integers import in_integers
from bench.subjects.networks import MODELS, build_graph, build_module
from bench.subjects.sparsity import SNIP_SPARSITY, layers, sparsify, thin_out
from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.errors import InputError
from training.models import MobileNetV1, default_input_size


@pytest.fixture(scope="module")
def small() -> Graph:
    return build_graph("minixception-128", size=48)


def sparsity_of(weight: np.ndarray) -> float:
    return 1 - np.count_nonzero(weight) / weight.size


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_every_layer_but_first_and_depthwise(small: Graph, sparsity: float) -> None:
    pruned = sparsify(small, sparsity)
    spared = {"stem.0.weight", *(name for _, name, w in small.weights() if ".depthwise." in name)}
    assert len(spared) == 1 + 2 + 1
    for _, name, weight in pruned.weights():
        wanted = 0.0 if name in spared else sparsity
        assert sparsity_of(weight) == pytest.approx(wanted, abs=1 / weight.size), name


def test_smallest_weights_go_and_channels_keep_their_norm(small: Graph) -> None:
    pruned = sparsify(small, 0.8)
    for layer in layers(small, 0.8):
        after = pruned.constants[layer.constant]
        if layer.sparsity:
            magnitudes = np.abs(layer.weight)
            assert magnitudes[after == 0].max() <= magnitudes[after != 0].min()
        rows = np.any(after.reshape(after.shape[0], -1) != 0, axis=1)
        norms = [np.linalg.norm(w.reshape(w.shape[0], -1), axis=1)[rows] for w in (layer.weight, after)]
        np.testing.assert_allclose(norms[1], norms[0], rtol=1e-4)


def test_blocks_of_input_channels_go_together() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 10, 3, 3), np.float32)
    graph = Graph(
        "two",
        [TensorInfo("x", (None, 10, 8, 8))],
        ["z"],
        [Node("relu", "first", ["x"], ["y"]), Node("conv2d", "conv", ["y", "w"], ["z"])],
        {"w": weight},
    )
    zero = sparsify(graph, 0.5, "1x4").constants["w"] == 0
    blocks = [slice(0, 4), slice(4, 8), slice(8, 10)]  # the last is shorter
    whole = np.stack([zero[:, b].all(axis=1) for b in blocks], axis=1)
    assert np.array_equal(whole, np.stack([zero[:, b].any(axis=1) for b in blocks], axis=1))
    assert whole.mean() == 0.5
    magnitude = np.stack([np.abs(weight[:, b]).mean(axis=1) for b in blocks], axis=1)
    assert magnitude[whole].max() < magnitude[~whole].min()


def test_thinned_out_weights_stay_on_their_grids() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 16, 1, 1), np.float32)
    nodes = [Node("conv2d", "first", ["x", "v"], ["y"]), Node("conv2d", "conv", ["y", "w"], ["z"])]
    constants = {"v": np.eye(16, dtype=np.float32).reshape(16, 16, 1, 1), "w": weight}
    graph = in_integers(Graph("two", [TensorInfo("x", (None, 16, 4, 4))], ["z"], nodes, constants))
    *_, (_, _, before) = graph.weights()
    thinned = thin_out(graph, 0.75, "1x4")
    thinned.verify()
    assert thinned.quantization == graph.quantization
    *_, (_, name, after) = thinned.weights()
    assert thinned.quantization[name]
    assert np.count_nonzero(after) <= 32
    np.testing.assert_array_equal(after[after != 0], before[after != 0])
    assert not sparsify(graph, 0.75).quantization


def test_the_given_graph_is_left_alone(small: Graph) -> None:
    before = {name: array.copy() for name, array in small.constants.items()}
    sparsify(small, 0.9)
    assert all(np.array_equal(small.constants[name], array) for name, array in before.items())


@pytest.mark.parametrize("sparsity", [0.0, 0.95])
def test_activations_stay_alive(small: Graph, sparsity: float) -> None:
    graph = sparsify(small, sparsity)
    x = np.random.default_rng(0).standard_normal((2, 3, 48, 48)).astype(np.float32)
    values = reference.run(graph, {"input": x}, keep="all")
    for name, value in values.items():
        assert np.isfinite(value).all()
        if value.ndim == 4:
            assert 0.05 < value.std() < 20, name


def test_retinaface_keeps_its_roles() -> None:
    def conv(name: str, x: str) -> Node:
        return Node("conv2d", name, [x, f"{name}.weight"], [name])

    names = ["backbone.conv1", "backbone.conv2", "fpn.laterals.0.0", "ssh.0.conv3x3.0", "box_heads.0"]
    rng = np.random.default_rng(0)
    graph = Graph(
        "detector",
        [TensorInfo("x", (None, 8, 4, 4))],
        [names[-1]],
        [conv(name, x) for name, x in zip(names, ["x", *names[:-1]], strict=True)],
        {f"{name}.weight": rng.standard_normal((8, 8, 1, 1)).astype(np.float32) for name in names},
    )
    graph.verify()
    assert [layer.sparsity for layer in layers(graph, 0.9)] == [0, 0.9, SNIP_SPARSITY, SNIP_SPARSITY, 0]
    assert pytest.approx(0.6838, abs=1e-4) == SNIP_SPARSITY


def test_every_model_has_a_size() -> None:
    assert all(default_input_size(name) for name in MODELS)
    assert isinstance(build_module("mobilenetv1"), MobileNetV1)


def test_building_is_seeded(small: Graph) -> None:
    torch.manual_seed(9)
    again = build_graph("minixception-128", size=48)
    assert all(np.array_equal(again.constants[n], array) for n, array in small.constants.items())


def test_unknown_model() -> None:
    with pytest.raises(InputError, match="unknown model 'vgg': choose from minixception-128"):
        build_graph("vgg")
