"""A small network pruned as a whole: zeros where they may be, outputs that hardly change, work that goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters import prune
from sparsenet import Engine
from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.graph import Graph
from sparsenet.graph.quantization import Quantization
from tests.converters.pruning.networks import multiply_adds, network, samples


def smallest_gone(graph: Graph, sparsity: float) -> Graph:
    """The same network without the smallest weights of each layer but the depthwise one."""
    graph = graph.copy()
    for node, name, weight in list(graph.weights()):
        if node.name != "depth":
            ranks = np.abs(weight).argsort(axis=None).argsort().reshape(weight.shape)
            graph.constants[name] = np.where(ranks < sparsity * weight.size, 0, weight).astype(np.float32)
    return graph


def error(graph: Graph, other: Graph) -> float:
    x = samples(64, seed=9)
    exact, got = (Engine(g, 1)(x) for g in (graph, other))
    return float(np.square(exact - got).sum() / np.square(exact - exact.mean(axis=0)).sum())


def test_a_pruned_network_makes_nearly_what_it_made() -> None:
    graph, x = network(), samples(64)
    found = prune(graph, [x[:40], x[40:]], 0.6, scope="layer", threads=1)
    assert [layer.layer for layer in found.layers] == ["stem", "grouped", "point", "head"]
    for layer in found.layers:
        assert abs(layer.sparsity - 0.6) < 1.1 / layer.weights
        assert 0 < layer.error < 0.5
    assert np.count_nonzero(found.graph.constants["depth.w"]) == 16 * 9
    assert error(graph, found.graph) < 0.25 * error(graph, smallest_gone(graph, 0.6))
    blocks = prune(graph, x, 0.5, scope="layer", block=(1, 4), threads=1).graph
    grouped = (blocks.constants["grouped.w"] != 0).reshape(16, 2, 4, 3, 3)
    np.testing.assert_array_equal(grouped.any(axis=2), grouped.all(axis=2))
    pairs = prune(graph, x, n_m=(2, 4), threads=1).graph
    assert ((pairs.constants["point.w"] != 0).reshape(16, 4, 4).sum(axis=2) == 2).all()


def test_layers_that_stay_dense_repair_what_is_lost_before_them() -> None:
    graph, x = network(), samples(64)
    repaired = prune(graph, x, {"grouped": 0.8}, threads=1).graph
    left = prune(graph, x, {"grouped": 0.8}, skip=["point", "head"], threads=1).graph
    assert error(graph, repaired) < 0.7 * error(graph, left)
    for name, weight in graph.constants.items():
        assert np.count_nonzero(repaired.constants[name]) >= np.count_nonzero(weight) or name == "grouped.w"
        if name != "grouped.b":
            assert np.array_equal(left.constants[name], weight) == (name != "grouped.w")
    exact, got = (Engine(g, 1)(x).mean(axis=0) for g in (graph, repaired))
    np.testing.assert_allclose(got, exact, atol=1e-4)
    once = prune(graph, x, 0.6, scope="layer", threads=1)
    twice = prune(once.graph, x, {"stem": 0.7}, threads=1)
    assert [layer.nnz for layer in twice.layers[1:]] == [layer.nnz for layer in once.layers[1:]]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    graph, x, folder = network(), samples(32), tmp_path / "state"
    whole = prune(graph, x, 0.7, scope="layer", threads=1)

    def stop(done: int, of: int) -> None:
        assert of == 4
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(graph, x, 0.7, scope="layer", state=folder, threads=1, progress=stop)
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert kept.keys() == {"layer-0.npz", "layer-1.npz"}

    def look(done: int, _of: int) -> None:
        if done == 4:
            assert all((folder / name).stat().st_mtime_ns == time for name, time in kept.items())

    again = prune(graph, x, 0.7, scope="layer", state=folder, threads=1, progress=look)
    assert again.layers == whole.layers
    for name, array in whole.graph.constants.items():
        np.testing.assert_array_equal(again.graph.constants[name], array)
    assert not folder.exists()


def test_the_state_of_other_work_is_forgotten_and_strange_folders_are_left_alone(tmp_path: Path) -> None:
    graph, x, folder = network(), samples(8), tmp_path / "state"

    def stop(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(graph, x, 0.7, scope="layer", state=folder, threads=1, progress=stop)
    other = prune(graph, x, 0.2, scope="layer", state=folder, threads=1)
    assert other.layers == prune(graph, x, 0.2, scope="layer", threads=1).layers
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        prune(graph, x, 0.7, state=tmp_path, threads=1)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_zeros_are_spread_by_what_they_cost_and_save() -> None:
    graph, x = network(), samples(64)
    alike, spread = (prune(graph, x, 0.8, scope=scope, threads=1) for scope in ("layer", "global"))
    assert 0 <= sum(layer.nnz for layer in alike.layers) - sum(layer.nnz for layer in spread.layers) < 40
    assert len({round(layer.sparsity, 2) for layer in spread.layers}) > 1
    assert error(graph, spread.graph) < error(graph, alike.graph)
    whole, target = sum(multiply_adds(graph).values()), 25.0
    fast = prune(graph, x, ms=target, layer_ms=multiply_adds, min_density=0.1, threads=1)
    assert 0.95 * target < sum(multiply_adds(fast.graph).values()) <= 1.01 * target < whole / 2
    assert all(layer.sparsity < 0.91 for layer in fast.layers)
    head, stem = fast.layers[-1], fast.layers[0]
    assert head.sparsity < stem.sparsity, "80 weights at one place cost next to nothing"
    again = prune(graph, x, speedup=whole / target, layer_ms=multiply_adds, min_density=0.1, threads=1)
    assert again.layers == fast.layers
    with pytest.raises(InputError, match="allow more time"):
        prune(graph, x, ms=0.05 * target, layer_ms=multiply_adds, threads=1)


def test_a_layer_with_too_many_inputs_is_named_before_work_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "100K")
    with pytest.raises(MemoryLimitError, match="layer 'grouped', which may be skipped"):
        prune(network(), samples(2), skip=["stem"])


def test_wrong_arguments_are_named() -> None:
    graph, x = network(), samples(2)
    for arguments, words in [
        ({"sparsity": 1.5}, "sparsity must be"),
        ({"sparsity": {"depth": 0.5}}, "no layer that can be pruned is called 'depth'"),
        ({"block": (2, 4)}, "block must be"),
        ({"n_m": (4, 4)}, "N of n_m"),
        ({"block": (1, 4), "n_m": (2, 4)}, "two patterns"),
        ({"skip": ["tail"]}, "no layer with weights is called 'tail'"),
        ({"ms": 1.0, "speedup": 2.0}, "ms and speedup are two ways"),
        ({"speedup": 0.5}, "speedup must be"),
        ({"n_m": (2, 4), "ms": 1.0}, "n_m decides"),
        ({"scope": "erk"}, "scope must be"),
        ({"search": -1}, "search must be"),
        ({"search": 2, "scope": "layer"}, "search tries other ways to spread zeros"),
        ({"skip": ["*"]}, "no layer left to prune"),
    ]:
        with pytest.raises(InputError, match=words):
            prune(graph, x, **{"sparsity": 0.5, "layer_ms": multiply_adds, **arguments})
    with pytest.raises(InputError, match="holds none"):
        prune(graph, [])
    graph.quantization["x"] = Quantization.of_activations(1.0, 128)
    with pytest.raises(InputError, match="is quantized"):
        prune(graph, x)
