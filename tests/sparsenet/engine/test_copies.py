"""Engines in pools: pickled, copied, inherited by a fork; each process makes a plan of its own."""

from __future__ import annotations

import copy
import io
import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparsenet
from sparsenet import Engine, Graph, Node, TensorInfo, bundle
from sparsenet.errors import BundleError
from sparsenet.graph.constants import encoded
from sparsenet.graph.kept_graph import KeptGraph
from sparsenet.targets.cpu.runtime.threads import available_cpus
from tests.sparsenet.sample_graphs import tiny_graph

METHODS = [
    name for name in ("spawn", "fork", "forkserver") if name in multiprocessing.get_all_start_methods()
]

NOT_GUARDED = pytest.mark.skipif(
    "SPARSENET_GUARD" in os.environ,
    reason="guard pages are holes in what would be saved; with them, an engine may have another number of threads",
)


def images(batch: int = 3, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((batch, 3, size, size)).astype(np.float32)


def open_sizes() -> Graph:
    """A network that takes images of any size, with a dense and a sparse weight."""
    rng = np.random.default_rng(1)
    dense = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    sparse = np.where(rng.random((2, 4, 1, 1)) < 0.3, np.float32(1.5), np.float32(0))
    return Graph(
        "open", [TensorInfo("x", (None, 3, 8, 8), open=(2, 3))], ["y"],
        [Node("conv2d", "a", ["x", "d"], ["h"]), Node("conv2d", "b", ["h", "s"], ["y"])], {"d": dense, "s": sparse},
    )  # fmt: skip


def assert_same(one: Engine, other: Engine, x: np.ndarray) -> None:
    first, second = one.run({one.inputs[0].name: x}), other.run({other.inputs[0].name: x})
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)


@pytest.mark.parametrize("make", [copy.deepcopy, copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
@pytest.mark.parametrize(
    "options",
    [{"threads": 1}, {"threads": 2, "sparse": False}, {"backend": "numpy"}, {"device": "auto"}],
    ids=str,
)
def test_a_copy_computes_the_same_with_the_same_options(make: Any, options: dict[str, Any]) -> None:
    engine = Engine(tiny_graph(), **options)
    engine.metadata["note"] = "mine"
    made = make(engine)
    assert_same(engine, made, images())
    assert made.metadata == {"classes": "a b ü", "note": "mine"}
    assert made.metadata is not engine.metadata
    assert (made.threads, made.sparse, made.explain()) == (engine.threads, engine.sparse, engine.explain())
    engine.close()
    made(images())  # has workers of its own


def test_threads_that_were_left_open_are_chosen_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = pickle.dumps(Engine(tiny_graph()))
    monkeypatch.setattr("sparsenet.targets.cpu.runtime.backend.available_cpus", lambda: 1)
    assert pickle.loads(pickled).threads == 1
    assert Engine(tiny_graph(), 2).threads == 2 or available_cpus() == 1


def test_open_sizes_travel() -> None:
    engine = Engine(open_sizes(), 1)
    made = copy.deepcopy(engine)
    for size in (8, 11, 9):
        assert_same(engine, made, images(size=size))


def test_a_graph_that_is_changed_afterwards_changes_nothing() -> None:
    graph = open_sizes()
    engine, same = Engine(graph, 1), Engine(open_sizes(), 1)
    for array in graph.constants.values():
        array[...] = 7
    graph.nodes.clear()
    assert_same(engine, same, images(size=13))  # a plan made now
    assert_same(copy.deepcopy(engine), same, images())


def test_kept_graphs_are_equal_to_the_bit_and_small() -> None:
    rng = np.random.default_rng(2)
    sparse = np.where(rng.random((64, 64)) < 0.1, rng.standard_normal((64, 64)), 0).astype(np.float32)
    sparse[0, :4] = -0.0, np.float32(1e-45), 0.0, -1.5
    constants = {
        "sparse": sparse,
        "dense": rng.standard_normal((5, 7)).astype(np.float32),
        "transposed": rng.standard_normal((5, 7)).astype(np.float32).T,
        "zeros": np.zeros((3, 5), np.float32),
        "number": np.array(2.5, np.float32),
        "empty": np.zeros((0, 4), np.float32),
    }
    graph = Graph("g", [TensorInfo("x", (None, 4))], ["x"], [], constants)
    kept = KeptGraph.of(graph, owned=False)
    for made in (kept.graph(), pickle.loads(pickle.dumps(kept)).graph()):
        assert list(made.constants) == list(constants)
        for name, array in constants.items():
            assert made.constants[name].dtype == np.float32
            assert made.constants[name].shape == array.shape
            assert made.constants[name].tobytes() == array.tobytes()
    assert len(pickle.dumps(encoded(kept.constants, "sparse"))) < sparse.nbytes / 4
    assert KeptGraph.of(graph, owned=True).constants["dense"] is constants["dense"]


def test_a_loaded_model_travels_without_its_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    sparsenet.save(tiny_graph(), path)
    engine = sparsenet.load(path, 1)
    path.unlink()
    assert_same(engine, pickle.loads(pickle.dumps(engine)), images())


@NOT_GUARDED
def test_a_bundle_travels_as_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tiny_graph(), 2)
    bundle.save(engine.plan, tmp_path / "b", sparse=True, metadata=engine.metadata)
    monkeypatch.chdir(tmp_path)
    loaded = sparsenet.load("b")
    monkeypatch.chdir("/")
    for made in (pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):
        assert_same(loaded, made, images())
        assert made.threads == 2
    (tmp_path / "b").rename(tmp_path / "gone")
    with pytest.raises((BundleError, sparsenet.errors.ModelFileError), match=str(tmp_path / "b")):
        pickle.loads(pickle.dumps(loaded))


def test_subclasses_stay_what_they_are() -> None:
    assert type(copy.deepcopy(Special(tiny_graph(), 1))) is Special


class Special(Engine):
    """An engine with another name."""


@NOT_GUARDED
def test_an_engine_prints_as_one_line() -> None:
    assert repr(Engine(tiny_graph(), 1)) == (
        "<Engine: image (N, 3, 8, 8) → logits (N, 3), pooled (N, 2, 1, 1), 1 thread>"
    )
    assert repr(Engine(open_sizes(), 2)) == "<Engine: x (N, 3, any, any) → y (N, 2, 6, 6), 2 threads>"


# --- processes ---


def call(engine: Engine, x: np.ndarray) -> tuple[int, np.ndarray]:
    """What a worker is given an engine for."""
    logits = engine(x)[0]
    return os.getpid(), logits


_of_worker: Engine | None = None


def start_worker(engine: Engine) -> None:
    """Keep the engine that the pool hands to each worker once."""
    global _of_worker
    _of_worker = engine


def call_of_worker(x: np.ndarray) -> np.ndarray:
    """Run the engine that ``start_worker`` kept."""
    assert _of_worker is not None
    return _of_worker(x)[0]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("threads", [1, 2])
def test_engines_in_a_pool_of_processes(method: str, threads: int) -> None:
    engine = Engine(tiny_graph(), threads)
    expected = engine(images())[0]
    with ProcessPoolExecutor(
        2, multiprocessing.get_context(method), initializer=start_worker, initargs=(engine,)
    ) as pool:
        answers = [pool.submit(call, engine, images()) for _ in range(3)]
        for pid, logits in (answer.result(timeout=120) for answer in answers):
            assert pid != os.getpid()
            np.testing.assert_array_equal(logits, expected)
        for logits in pool.map(call_of_worker, [images()] * 3, timeout=120):
            np.testing.assert_array_equal(logits, expected)
    np.testing.assert_array_equal(engine(images())[0], expected)


def test_engines_in_a_pool_of_threads() -> None:
    engine = Engine(tiny_graph(), 2)
    expected = engine(images())[0]
    with ThreadPoolExecutor(4) as pool:
        copies = list(pool.map(copy.deepcopy, [engine] * 4))
        for made in (*copies, engine):
            for _, logits in pool.map(call, [made] * 8, [images()] * 8):
                np.testing.assert_array_equal(logits, expected)


def test_pickles_of_every_protocol() -> None:
    engine = Engine(tiny_graph(), 1)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        buffer = io.BytesIO()
        pickle.dump(engine, buffer, protocol)
        assert_same(engine, pickle.loads(buffer.getvalue()), images())
