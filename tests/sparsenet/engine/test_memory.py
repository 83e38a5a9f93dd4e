"""What an inference costs in memory: its outputs, and nothing else once the engine is warm."""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import sparsenet
from sparsenet import Engine, Graph, Node, TensorInfo, bundle

pytestmark = pytest.mark.skipif(
    "SPARSENET_GUARD" in os.environ,
    reason="guard pages take memory of their own, with holes that cannot be saved",
)


def two_layers() -> Graph:
    """Its intermediate map takes 2.5 MB, its output 16 bytes."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((16, 3, 3, 3)).astype(np.float32)
    weight[rng.random(weight.shape) < 0.7] = 0
    nodes = [
        Node("conv2d", "conv", ["x", "w"], ["a"], {"padding": [1, 1, 1, 1], "epilogue": [["relu"]]}),
        Node("conv2d", "point", ["a", "v"], ["b"]),
        Node("global_avg_pool2d", "pool", ["b"], ["y"]),
    ]
    constants = {"w": weight, "v": rng.standard_normal((4, 16, 1, 1)).astype(np.float32)}
    return Graph("two", [TensorInfo("x", (None, 3, 200, 200))], ["y"], nodes, constants)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_warm_inference_allocates_its_outputs_alone(threads: int, batch: int) -> None:
    engine = Engine(two_layers(), threads)
    x = np.random.default_rng(1).standard_normal((batch, 3, 200, 200)).astype(np.float32)
    for _ in range(3):
        engine(x)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        y = engine(x)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(y, np.ndarray)
    # A few small Python objects: the dictionary of outputs, their shapes.
    assert peak - before < y.nbytes + 8192
    assert after - before < y.nbytes + 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_hundred_inferences_do_not_grow_the_process() -> None:
    engine = Engine(two_layers(), 2)
    x = np.zeros((1, 3, 200, 200), np.float32)

    def mapped() -> int:
        return len(Path("/proc/self/maps").read_text().splitlines())

    for _ in range(5):
        engine(x)
    before = mapped()
    for _ in range(100):
        engine(x)
    assert mapped() < before + 10
    assert len(engine._backend.own.idle) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_engines_of_one_bundle_share_its_weights(tmp_path: Path) -> None:
    engine = Engine(two_layers(), 1)
    bundle.save(engine.plan, tmp_path / "b", sparse=True, metadata={})
    engines = [sparsenet.load(tmp_path / "b") for _ in range(3)]
    x = np.ones((1, 3, 200, 200), np.float32)
    for one in engines:
        np.testing.assert_array_equal(one(x), engine(x))
    maps = Path("/proc/self/smaps").read_text().split("weights.bin\n")[1:]
    assert len(maps) >= 3
    for block in maps[:3]:
        private = next(line.split()[1] for line in block.splitlines() if line.startswith("Private_Dirty:"))
        assert private == "0"
