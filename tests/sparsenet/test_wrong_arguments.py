"""Public functions with arguments of the wrong type, number or size: one typed line, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparsenet
from sparsenet import Engine, Graph, Node, TensorInfo
from sparsenet.errors import InputError, SparsenetError
from tests.sparsenet.sample_graphs import tiny_graph

SHAPE = (1, 3, 8, 8)


class Array(np.ndarray):
    """A subclass of NumPy's arrays is an array."""


def engines() -> dict[str, Callable[[], Engine]]:
    return {
        "compiled": lambda: Engine(tiny_graph(), 1),
        "numpy": lambda: Engine(tiny_graph(), backend="numpy"),
    }


@pytest.fixture(params=engines())
def engine(request: pytest.FixtureRequest) -> Engine:
    return engines()[request.param]()


def one_line(error: BaseException) -> bool:
    return 0 < len(str(error)) < 400 and "\n" not in str(error)


WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    *(
        ({"threads": n}, "threads must be")
        for n in ("2", 1.5, True, 0, -1, 10**9, 10**5000, [2], np.float32(2))
    ),
    *(({"sizes": n}, "sizes must be") for n in ("2", 1.5, True, 0, -1, 10**9, None)),
    *(({"sparse": v}, "sparse must be True or False") for v in ("no", None, 1, 0.0, np.ones(2, bool))),
    *(({"tune": v}, "tune must be True or False") for v in ("yes", None, 1)),
    *(({"backend": v}, "backend must be one of") for v in ("Numpy", None, 1, ["numpy"], np.zeros(2))),
    *(({"device": v}, "device must be one of") for v in ("gpu", None, 0, ["cpu"], np.zeros(2))),
]


@pytest.mark.parametrize("options, message", WRONG_OPTIONS)
def test_options_of_an_engine(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    sparsenet.save(tiny_graph(), tmp_path / "m.safetensors")
    calls: list[Callable[[], object]] = [lambda: Engine(tiny_graph(), **options)]
    if "sizes" not in options:
        calls.append(lambda: sparsenet.load(tmp_path / "m.safetensors", **options))
    for call in calls:
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert one_line(caught.value)


@pytest.mark.parametrize("threads", [np.int64(1), np.uint8(1)])
def test_whole_numbers_of_numpy_are_numbers(threads: Any) -> None:
    assert Engine(tiny_graph(), threads, sparse=np.True_).threads == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("graph", [None, "m.safetensors", b"", 3, [], {}], ids=repr)
def test_what_is_no_graph(graph: Any, tmp_path: Path) -> None:
    for call in (lambda: Engine(graph), lambda: sparsenet.save(graph, tmp_path / "x")):
        with pytest.raises(InputError, match="graph must be a Graph, got") as caught:
            call()
        assert one_line(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [None, 3, b"m", [], 1.5, "a\0b", "\ud800", Ellipsis], ids=ascii)
def test_what_is_no_path(path: Any) -> None:
    calls = (
        lambda: sparsenet.load(path),
        lambda: sparsenet.load_graph(path),
        lambda: sparsenet.save(tiny_graph(), path),
    )
    for call in calls:
        with pytest.raises(InputError, match="path must be") as caught:
            call()
        assert one_line(caught.value)


@pytest.mark.parametrize("values", [1, "f64", ["f32"], np.zeros(2)], ids=repr)
def test_how_values_are_stored(values: Any, tmp_path: Path) -> None:
    for keywords in ({"values": values}, {"encoding": values}):
        with pytest.raises(SparsenetError, match="must be one of") as caught:
            sparsenet.save(tiny_graph(), tmp_path / "x", **keywords)
        assert one_line(caught.value)
    assert not list(tmp_path.iterdir())


WRONG_ARRAYS: dict[str, Any] = {
    "list": [[0.0]],
    "None": None,
    "float64": np.zeros(SHAPE),
    "byte order": np.zeros(SHAPE, np.dtype(np.float32).newbyteorder()),
    "records": np.zeros(SHAPE, [("a", "f4")]),
    "objects": np.zeros(SHAPE, object),
    "no axes": np.float32(0).reshape(()),
    "no batch": np.zeros(SHAPE[1:], np.float32),
    "too small": np.zeros((1, 3, 8, 7), np.float32),
    "too large": np.zeros((1, 3, 8, 9), np.float32),
    "empty": np.zeros((1, 0, 8, 8), np.float32),
    "one axis more": np.zeros((1, *SHAPE), np.float32),
}


@pytest.mark.parametrize("array", WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
def test_arrays_that_do_not_fit(engine: Engine, array: Any) -> None:
    calls = (
        lambda: engine(array),
        lambda: engine.run({"image": array}),
        lambda: engine.profile(array, runs=1),
        *([lambda: engine.step_cycles(array, runs=1)] if engine.plan.tapes else []),
    )
    for call in calls:
        with pytest.raises(InputError, match="input 'image' must") as caught:
            call()
        assert one_line(caught.value)


@pytest.mark.parametrize("feeds", [np.zeros(SHAPE, np.float32), None, [1], "image", 3], ids=type)
def test_run_takes_a_dict(engine: Engine, feeds: Any) -> None:
    with pytest.raises(InputError, match="must be a dict of arrays by name") as caught:
        engine.run(feeds)
    assert one_line(caught.value)


@pytest.mark.parametrize("feeds", [{}, {None: 0}, {"image": np.zeros(SHAPE, np.float32), 3: 0}], ids=str)
def test_names_that_are_missing_or_unknown(engine: Engine, feeds: Any) -> None:
    with pytest.raises(InputError, match=r"missing|unknown"):
        engine.run(feeds)


@pytest.mark.parametrize("runs", [0, -1, 1.5, "3", None, True, 10**12], ids=repr)
def test_runs_of_a_profile(engine: Engine, runs: Any) -> None:
    x = np.zeros(SHAPE, np.float32)
    with pytest.raises(InputError, match="runs must be"):
        engine.profile(x, runs=runs)
    if engine.plan.tapes:
        with pytest.raises(InputError, match="runs must be"):
            engine.step_cycles(x, runs=runs)


def test_profiling_needs_a_sample_and_every_input(engine: Engine) -> None:
    empty = np.zeros((0, *SHAPE[1:]), np.float32)
    assert engine(empty)[0].shape == (0, 3)
    with pytest.raises(InputError, match="input 'image' holds no sample: its batch is 0"):
        engine.profile(empty, runs=1)
    for arrays in ((), (np.zeros(SHAPE, np.float32),) * 2):
        with pytest.raises(InputError, match="expected 1 inputs"):
            engine.profile(*arrays, runs=1)


def test_subclasses_of_arrays_and_strange_strides_are_read_right(engine: Engine) -> None:
    x = np.random.default_rng(0).standard_normal((2, *SHAPE[1:])).astype(np.float32)
    expected = engine.run({"image": x})
    strange = np.asfortranarray(x)[::-1][::-1]
    for array in (x.view(Array), strange, np.ma.masked_array(x)):
        got = engine.run({"image": array})
        assert all(np.array_equal(got[name], expected[name]) for name in expected)


def test_copies_of_arrays_count_as_memory() -> None:
    engine = Engine(tiny_graph(), 1)
    with pytest.raises(sparsenet.errors.MemoryLimitError, match="contiguous copy of input 'image'"):
        engine(np.broadcast_to(np.zeros(SHAPE, np.float32), (2**40, *SHAPE[1:])))


def test_profile_of_several_inputs_checks_their_batches() -> None:
    graph = Graph(
        "sum",
        [TensorInfo("a", (None, 4)), TensorInfo("b", (None, 4))],
        ["y"],
        [Node("add", "add", ["a", "b"], ["y"])],
    )
    one, two = np.zeros((1, 4), np.float32), np.zeros((2, 4), np.float32)
    for backend in ("compiled", "numpy"):
        engine = Engine(graph, 1, backend=backend)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="input 'b' has batch 2, the first input 1"):
            engine.profile(one, two, runs=1)
        assert engine.profile(two, two, runs=1)
