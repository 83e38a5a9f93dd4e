"""Each layer pruned alone: what is told of it is what the engine finds, and what a machine would take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters import prune, sensitivity
from converters.pruning.damage import change
from sparsenet import Engine
from sparsenet.errors import InputError
from sparsenet.graph import Graph, Node
from tests.converters.pruning.networks import multiply_adds, network, samples

#: As many as outputs are compared on.
X = samples(32)


def outputs(graph: Graph) -> dict[str, np.ndarray]:
    return {"y": Engine(graph, 1)(X)}


def test_errors_and_milliseconds_of_each_layer() -> None:
    graph = network()
    found = sensitivity(graph, X, [0.85, 0.3, 0.6], layer_ms=multiply_adds, threads=1)
    assert [layer.layer for layer in found.layers] == ["stem", "grouped", "point", "head"]
    assert found.samples == 32
    took = multiply_adds(graph)
    assert found.rest_ms == pytest.approx(took["depth"])
    for layer in found.layers:
        assert layer.dense_ms == pytest.approx(took[layer.layer])
        assert [point.sparsity for point in layer.points] == [0.3, 0.6, 0.85]
        for point in layer.points:
            assert point.ms == pytest.approx((1 - point.sparsity) * took[layer.layer], rel=0.1)
        for values in ([p.lost for p in layer.points], [p.change for p in layer.points]):
            assert 0 < values[0] < values[1] < values[2]
    for point in found.layers[-1].points[1:]:  # what the head loses is what the outputs lose
        assert 0.75 * point.lost < point.change < point.lost  # but for what is added to the covariance
    refitted = prune(graph, X, {"stem": 0.85}, skip=["grouped", "point", "head"], threads=1).graph
    assert 0.6 < change(outputs(graph), outputs(refitted)) / found.layers[0].points[2].change < 1


def test_of_labels_what_they_were_chosen_from_is_compared() -> None:
    labels = network()
    labels.nodes.append(Node("argmax", "label", ["y"], ["label"], {"axis": 1}))
    labels.outputs = ["label"]
    arguments = {"sparsities": [0.6], "layer_ms": multiply_adds, "threads": 1, "skip": ["grouped", "head"]}
    assert sensitivity(labels, X, **arguments).layers == sensitivity(network(), X, **arguments).layers


def test_what_is_measured_is_not_measured_again(tmp_path: Path) -> None:
    steps: list[int] = []

    def stop(done: int, _of: int) -> None:
        steps.append(done)
        if len(steps) == 2:
            raise KeyboardInterrupt

    folder = tmp_path / "state"
    arguments = {"layer_ms": multiply_adds, "threads": 1}
    with pytest.raises(KeyboardInterrupt):
        sensitivity(network(), X, [0.7], state=folder, progress=stop, **arguments)
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert len(kept) == 2

    def look(done: int, of: int) -> None:
        assert done <= of == 6
        assert all((folder / name).stat().st_mtime_ns == time for name, time in kept.items())

    again = sensitivity(network(), X, [0.7], state=folder, progress=look, **arguments)
    assert again == sensitivity(network(), X, [0.7], **arguments)
    assert not folder.exists()


def test_wrong_arguments_are_named() -> None:
    for sparsities, words in [([1.5], "a sparsity must be"), ([], "at least one"), (0.5, "sparsities must")]:
        with pytest.raises(InputError, match=words):
            sensitivity(network(), X, sparsities)
