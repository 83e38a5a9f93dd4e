"""Constants that are unfolded when they are first asked for."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo
from sparsenet.errors import GraphError
from sparsenet.graph.constants import Constants, arrays, encoded, shape_of


@dataclass
class Ramp:
    """0, 1, 2, …, and how often it was unfolded."""

    shape: tuple[int, ...]
    times: int = 0

    def dense(self) -> np.ndarray:
        self.times += 1
        return np.arange(np.prod(self.shape, dtype=int), dtype=np.float32).reshape(self.shape)


@pytest.fixture
def ramp() -> Ramp:
    return Ramp((2, 3))


@pytest.fixture
def constants(ramp: Ramp) -> Constants:
    made = Constants({"a": np.ones(4, np.float32)})
    made.hold("r", ramp)
    return made


def test_asked_for_it_is_unfolded_once(constants: Constants, ramp: Ramp) -> None:
    assert list(constants) == ["a", "r"]
    assert "r" in constants
    assert len(constants) == 2
    assert shape_of(constants, "r") == (2, 3)
    assert encoded(constants, "r") is ramp
    assert [name for name, _ in arrays(constants)] == ["a"]
    assert "r: (2, 3)" in repr(constants)
    assert ramp.times == 0
    assert constants["r"] is constants["r"]
    assert dict(constants)["r"] is constants["r"]
    assert ramp.times == 1
    assert [name for name, _ in arrays(constants)] == ["a", "r"]


def test_the_form_is_known_as_long_as_the_array_is_the_same(constants: Constants, ramp: Ramp) -> None:
    array = constants["r"]
    assert encoded(constants, "r") is ramp
    array[0, 0] = -0.0
    assert encoded(constants, "r") is None
    array[0, 0] = 0.0
    assert encoded(constants, "r") is ramp
    array.shape = (3, 2)
    assert encoded(constants, "r") is None
    assert shape_of(constants, "r") == (3, 2)
    constants["r"] = np.zeros(1, np.float32)
    assert encoded(constants, "r") is None
    assert encoded(constants, "a") is None
    assert encoded({"a": np.ones(1, np.float32)}, "a") is None


def test_copies_share_what_is_there_and_what_comes(constants: Constants, ramp: Ramp) -> None:
    copies = [copy.copy(constants), constants.copy(), constants | {}, Constants() | constants]
    assert all(other["r"] is constants["r"] for other in copies)
    assert ramp.times == 1
    del copies[0]["r"]
    assert "r" in constants
    constants |= {"b": np.zeros(2, np.float32)}
    assert list(constants) == ["a", "r", "b"]
    assert "b" not in copies[1]


def test_folded_copies_unfold_by_themselves(constants: Constants, ramp: Ramp) -> None:
    array = constants["r"]
    folded = constants.folded()
    assert [name for name, _ in arrays(folded)] == ["a"]
    assert folded["a"] is constants["a"]
    assert folded["r"] is not array
    array[0, 0] = 7.0
    assert constants.folded()["r"] is array


def test_they_travel(constants: Constants) -> None:
    for made in (copy.deepcopy(constants), pickle.loads(pickle.dumps(constants))):
        assert [name for name, _ in arrays(made)] == ["a"]
        assert np.array_equal(made["r"], constants["r"])


def test_a_graph_asks_for_no_array_but_checks_those_that_are_there(constants: Constants, ramp: Ramp) -> None:
    node = Node("linear", "fc", ["x", "r"], ["y"])
    graph = Graph("g", [TensorInfo("x", (None, 3))], ["y"], [node], constants)
    graph.verify()
    assert graph.copy().shapes()["y"] == (None, 2)
    graph.drop_unused_constants()
    assert list(graph.constants) == ["r"]
    assert ramp.times == 0
    graph.constants["r"][0, 0] = np.nan
    with pytest.raises(GraphError, match="constant 'r' holds NaN"):
        graph.verify()
