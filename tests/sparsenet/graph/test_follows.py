"""Numbers of nodes that follow from sizes: at other sizes, in model files, and from strangers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo, load, save
from sparsenet.errors import GraphError, InputError, ModelFileError
from sparsenet.graph.size_of import SizeOf
from sparsenet.io.model_file import deserialize, load_graph, serialize
from tests.sparsenet.io.test_model_file_hostile import put_together, take_apart


@pytest.mark.parametrize(
    "source, size, number",
    [
        (SizeOf("x", 1, times=2, plus=-3), 10, 17),
        (SizeOf("x", 1, over=4), 12, 3),
        (SizeOf("x", 1, plus=3, over=4, exact=False), 10, 3),
        (SizeOf("x", 1, times=-1, plus=1, over=2, modulo=2, exact=False), 5, 1),
        (SizeOf("x", 1, times=-1, plus=1, over=2, modulo=2, exact=False), 6, 0),
    ],
)
def test_what_a_number_comes_to(source: SizeOf, size: int, number: int) -> None:
    assert source.of(size) == number


def test_what_is_not_whole_has_no_number() -> None:
    with pytest.raises(ValueError, match="10 is not of the kind"):
        SizeOf("x", 1, over=4).of(10)


def halves(step: int = 2) -> Graph:
    """The first half of the columns, as two rows, padded in front."""
    return Graph(
        "halves",
        [TensorInfo("x", (None, 1, 2, 8), open=(3,), step=step)],
        ["y"],
        [
            Node(
                "slice",
                "half",
                ["x"],
                ["h"],
                {"axis": 3, "start": 0, "count": 4},
                {"count": {0: SizeOf("x", 3, over=2)}},
            ),
            Node(
                "pad",
                "front",
                ["h"],
                ["p"],
                {"padding": [0, 0, 0, 0]},
                {"padding": {1: SizeOf("h", 3, plus=-4)}},
            ),
            Node("reshape", "flat", ["p"], ["y"], {"shape": [2, 4]}, {"shape": {1: SizeOf("p", 3)}}),
        ],
    )


def expected(x: np.ndarray) -> np.ndarray:
    count = x.shape[3] // 2
    padded = np.pad(x[:, 0, :, :count], [(0, 0), (0, 0), (count - 4, 0)])
    return np.ascontiguousarray(padded, np.float32)


@pytest.mark.parametrize("backend", ["compiled", "numpy"])
def test_other_sizes(tmp_path: Path, backend: Any) -> None:
    save(halves(), tmp_path / "m.safetensors")
    engine = load(tmp_path / "m.safetensors", 1, backend=backend)
    assert load_graph(tmp_path / "m.safetensors").nodes == halves().nodes
    for columns in (8, 12, 30):
        x = np.random.default_rng(0).standard_normal((3, 1, 2, columns)).astype(np.float32)
        np.testing.assert_array_equal(engine(x), expected(x))
    with pytest.raises(
        InputError, match="dimension 3 of input 'x' may be 8 more or less a multiple of 2, got 11"
    ):
        engine(np.zeros((1, 1, 2, 11), np.float32))
    with pytest.raises(InputError, match="cannot take inputs of this size"):
        engine(np.zeros((1, 1, 2, 6), np.float32))  # would pad by -1


def test_a_number_that_must_be_whole() -> None:
    with pytest.raises(
        InputError, match=r"node 'half' \(slice\): 11 is not of the kind of size that it is known for"
    ):
        Engine(halves(step=1), 1)(np.zeros((1, 1, 2, 11), np.float32))


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda g: g.nodes[0].follows.update(count={0: SizeOf("x", 3)}),
            r"'half' \(slice\): its numbers are not those that follow",
        ),
        (lambda g: g.nodes[0].follows.update(count={0: SizeOf("y", 3)}), "dimension 3 of 'y', which is none"),
        (lambda g: g.nodes[0].follows.update(count={0: SizeOf("x", 0)}), "dimension 0 of 'x', which is none"),
        (lambda g: g.nodes[0].follows.update(count={1: SizeOf("x", 3, over=2)}), "which is none"),
        (lambda g: g.nodes[0].follows.update(count={0: SizeOf("x", 3, over=0)}), "cannot follow from a size"),
        (
            lambda g: g.nodes[0].follows.update(colour={0: SizeOf("x", 3)}),
            "its colour cannot follow from a size",
        ),
    ],
)
def test_verify_names_what_follows_from_nothing(change: Callable[[Graph], None], message: str) -> None:
    graph = halves()
    change(graph)
    with pytest.raises(GraphError, match=message):
        graph.verify()


@pytest.mark.parametrize(
    "entry",
    [
        [],
        3,
        {"count": 4},
        {"count": [[0, 0, 3, 1, 0, 2, 0]]},
        {"count": [[0, 0, 3, 1, 0, 2, 0, 2]]},
        {"count": [[0, 9, 3, 1, 0, 2, 0, 1]]},
        {"count": [[0, -1, 3, 1, 0, 2, 0, 1]]},
        {"count": [[0, 0, 3, 1, 0, 2.0, 0, 1]]},
        {"count": [[0, 0, 3, 1, 0, 0, 0, 1]]},
        {"count": [[-1, 0, 3, 1, 0, 2, 0, 1]]},
        {"axis": [[0, 0, 3, 1, 0, 2, 0, 1]]},
        {"nothing": [[0, 0, 3, 1, 0, 2, 0, 1]]},
        {"count": [[0, 3, 2, 1, 0, 2, 0, 1]]},
    ],
)
def test_a_file_from_a_stranger(entry: Any) -> None:
    metadata, document, tensors = take_apart(serialize(halves()))
    assert document["nodes"][0][5] == {"count": [[0, 0, 3, 1, 0, 2, 0, 1]]}
    document["nodes"][0][5] = entry
    with pytest.raises(ModelFileError):
        deserialize(put_together(metadata, json.dumps(document), tensors))


@pytest.mark.parametrize("step", [0, -1, 1.5, True, "2", None])
def test_a_step_from_a_stranger(step: Any) -> None:
    metadata, document, tensors = take_apart(serialize(halves()))
    assert document["inputs"] == [["x", [1, 2, 8], [3], 2]]
    document["inputs"][0][3] = step
    with pytest.raises(ModelFileError, match="its step cannot be"):
        deserialize(put_together(metadata, json.dumps(document), tensors))
