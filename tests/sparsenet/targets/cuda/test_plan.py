"""Plans for a GPU, made without one: layouts, kernels chosen, memory within its bounds."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo
from sparsenet.errors import MemoryLimitError
from sparsenet.targets.cuda.builder import Options
from sparsenet.targets.cuda.layout import Maps
from sparsenet.targets.cuda.make import make_plan
from sparsenet.targets.cuda.tiles import ConvTile, candidates
from sparsenet.targets.registry import FAMILIES
from tests.sparsenet.sample_graphs import minixception, tiny_graph


@pytest.mark.parametrize("size, share", [(56, 1.04), (14, 1.15), (7, 1.31)])
def test_zeros_between_pixels_are_shared(size: int, share: float) -> None:
    maps = Maps(4, size, size, 64, 1, 1)
    assert maps.pitch / (64 * size * size) == pytest.approx(share, abs=0.02)


def test_a_vector_of_features_has_the_batch_as_pixels() -> None:
    assert (Maps(1000, 1, 1, 1).pitch, Maps(1000, 1, 1, 64).pitch) == (4, 64)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_every_access_is_within_memory(batch: int) -> None:
    plan = make_plan(minixception(), Options(batch))
    assert all(0 <= port.offset < plan.memory_floats for port in [*plan.inputs, *plan.outputs])
    for port in plan.outputs:
        assert port.offset + np.prod(port.shape) <= plan.memory_floats
    for launch in plan.launches:
        assert all(blocks > 0 for blocks in launch.blocks)
        assert launch.blocks[1] <= 65535
        assert 0 < launch.threads <= 1024


def test_nothing_is_written_over_the_inputs() -> None:
    """A recording runs its launches once before it is recorded, and must find the same inputs again."""
    plan = make_plan(minixception(), Options(1))
    (given,) = plan.inputs
    end = given.offset + int(np.prod(given.shape))
    written = [
        launch.integers[list(FAMILIES[launch.kernel.family].arguments).index("out")]
        for launch in plan.launches
    ]
    assert not any(given.offset <= out < end for out in written)


@pytest.mark.parametrize("zeros, kind", [(0.0, "dense"), (0.95, "csr")])
def test_the_zeros_decide(zeros: float, kind: str) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((256, 256, 1, 1)).astype(np.float32)
    weight[rng.random(weight.shape) < zeros] = 0
    graph = Graph(
        "one", [TensorInfo("x", (None, 256, 28, 28))], ["y"], [Node("conv2d", "c", ["x", "w"], ["y"])], {"w": weight}
    )  # fmt: skip
    (decision,) = make_plan(graph, Options(8)).decisions
    assert decision.format == kind
    assert "x as fast as dense" in decision.reason
    (dense,) = make_plan(graph, Options(8, sparse=False)).decisions
    assert (dense.format, dense.reason) == ("dense", "only dense kernels were asked for")


def test_tiles_fit_a_block_and_its_shared_memory() -> None:
    for rows in (1, 2, 4, 8):
        for tile in candidates(3000, 512, 4608, rows, in_place=True):
            assert tile.threads <= 256
            sums = tile.rows * tile.vectors * tile.lanes
            assert tile.splits == 1 or 4 * tile.threads * sums <= 48 * 1024


def test_blocks_cover_positions_and_do_not_exceed_groups() -> None:
    tile = ConvTile(4, 2, 2, 8, 1, 32)
    assert tile.blocks(65, 10, 132) == (2, 1)


def test_the_memory_limit_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "3K")
    with pytest.raises(MemoryLimitError):
        make_plan(tiny_graph(), Options(8))
