"""The pattern convolution against the oracle: tiles, edges, chunks, groups, densities, epilogues, packing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.kernels.one_conv import Convolution
from bench.kernels.one_kernel import Map
from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.plan.lowering.row_groups import group_rows
from sparsenet.targets.cpu.lower.pack_pattern import PatternStream, pattern_stream
from sparsenet.targets.cpu.patterns import rows_of, step_kinds, step_words
from sparsenet.targets.host import host
from sparsenet.targets.registry import Kernel
from tests.full import chosen

FAMILY = "f32_conv_pattern_rows"
LANES = [lanes for lanes in (16, 8, 4) if lanes <= host().vector().lanes]


def convolution(
    size: tuple[int, int],
    channels: tuple[int, int],
    kernel: int = 1,
    *,
    lanes: int = LANES[0],
    density: float = 0.3,
    dilation: int = 1,
    groups: int = 1,
    seed: int = 0,
) -> Convolution:
    """Random data; buffers start as NaN, so that a read of what nobody wrote shows."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((channels[1], channels[0] // groups, kernel, kernel)).astype(np.float32)
    weight[rng.random(weight.shape) >= density] = 0
    return Convolution(
        rng.standard_normal((channels[0], *size)).astype(np.float32),
        weight,
        rng.standard_normal(channels[1]).astype(np.float32),
        lanes,
        dilation=dilation,
        groups=groups,
        leftovers=float("nan"),
    )


def expected(conv: Convolution, epilogue: list[list[Any]], extra: dict[str, np.ndarray]) -> np.ndarray:
    """What the oracle says."""
    attrs = {
        "stride": [1, 1],
        "padding": [conv.reach] * 4,
        "dilation": [conv.dilation] * 2,
        "groups": conv.groups,
        "epilogue": epilogue,
    }
    constants = {"weight": conv.weight, "bias": conv.bias}
    constants |= {name: extra[name] for name in ("scale", "shift") if name in extra}
    infos, feeds = [TensorInfo("x", (None, *conv.x.shape))], {"x": conv.x[None]}
    if "residual" in extra:
        infos.append(TensorInfo("residual", (None, *extra["residual"].shape)))
        feeds["residual"] = extra["residual"][None]
    node = Node("conv2d", "conv", ["x", "weight", "bias", *extra], ["y"], attrs)
    return reference.run(Graph("conv", infos, ["y"], [node], constants), feeds)["y"][0]


def assert_matches(
    conv: Convolution,
    tile: tuple[int, int, int] = (4, 1, 1),
    boundaries: tuple[int, ...] = (),
    epilogue: tuple[list[Any], ...] = (),
    rows_per_call: int | None = None,
) -> None:
    """Run the kernel twice (the second time over its own output) and compare pixels and halo."""
    rng = np.random.default_rng(1)
    channels, height, width = conv.out.channels, conv.out.height, conv.out.width
    extra: dict[str, np.ndarray] = {}
    arguments: dict[str, Any] = {}
    for i, (word, *parameters) in enumerate(epilogue):
        if word == "affine":
            for name in ("scale", "shift"):
                extra[name] = rng.standard_normal(channels).astype(np.float32)
                arguments[f"{name}.{i}"] = extra[name]
        elif word == "add":
            other = Map(channels, height, width, conv.lanes, side=conv.reach, fill=float("nan"))
            extra["residual"] = rng.standard_normal((channels, height, width)).astype(np.float32)
            other.pixels[...] = extra["residual"]
            arguments[f"residual.{i}"] = other.at()
            arguments[f"residual_row.{i}"] = other.row_bytes
            arguments[f"residual_channel.{i}"] = other.channel_bytes
        else:
            names = [name for name in Kernel(FAMILY, 4, (1, 1, 1), (word,)).arguments if name.endswith(".0")]
            arguments |= {
                name.replace(".0", f".{i}"): float(p) for name, p in zip(names, parameters, strict=True)
            }
    kernel = Kernel(FAMILY, conv.lanes, tile, tuple(word for word, *_ in epilogue))
    call = conv.call(kernel, conv.pattern(tile[0], boundaries), arguments, rows_per_call)
    want = expected(conv, list(epilogue), extra)
    for _ in range(2):
        call()
        assert np.abs(conv.out.pixels - want).max() < 2e-6 * max(float(np.abs(want).max()), 1.0)
        assert not conv.out.rows[:, :, width:].any()


TILES = [(2, 1, 1), (3, 1, 3), (4, 2, 1), (4, 1, 4), (5, 1, 2), (6, 1, 1)]


@pytest.mark.parametrize(
    "lanes, tile",
    [(lanes, tile) for lanes in LANES for tile in TILES[:: 1 if lanes == LANES[0] else 2]],
    ids=str,
)
def test_tiles_and_lanes(lanes: int, tile: tuple[int, int, int]) -> None:
    """Lines of whole vectors, and one that ends inside a vector."""
    for width in (4 * lanes, 5 * lanes - 3):
        assert_matches(convolution((5, width), (7, 11), 3, lanes=lanes), tile)


@pytest.mark.parametrize("c_out", [1, 2, 3, 4, 5, 7, 8, 9])
def test_output_channels_around_a_group(c_out: int) -> None:
    """Chunks too: a channel that a short group repeats must keep its partial sums."""
    assert_matches(convolution((3, 17), (10, c_out)), boundaries=(4,))


@pytest.mark.parametrize("size", [(1, 1), (2, 15), (3, 16), (4, 17), (5, 33), (6, 48)], ids=str)
def test_sizes_around_a_tile(size: tuple[int, int]) -> None:
    lanes = 16 if LANES[0] == 16 else 8
    for rows, vectors in ((1, 1), (2, 1), (1, 2), (2, 2)):
        if rows <= size[0] and vectors <= -(-size[1] // lanes):
            assert_matches(convolution(size, (5, 6), 3, lanes=lanes), (4, rows, vectors))


@pytest.mark.parametrize("density", [0.0, 0.01, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("boundaries", [(), (40,), (1, 81)], ids=str)
def test_every_density_in_chunks(density: float, boundaries: tuple[int, ...]) -> None:
    """At 0 the output is the bias, at 1 all columns have all rows."""
    assert_matches(convolution((4, 20), (16, 10), 3, density=density), (4, 1, 2), boundaries)


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_groups_and_dilation(groups: int, dilation: int) -> None:
    """Five channels per group: none divides into rows of four."""
    conv = convolution((6, 18), (4 * groups, 5 * groups), 3, groups=groups, dilation=dilation)
    assert_matches(conv, boundaries=(9, 18))


EPILOGUES: list[tuple[list[Any], ...]] = [
    (["relu"],),
    (["relu"], ["affine"]),
    (["add"], ["relu"]),
    (["affine"], ["add"], ["leaky_relu", 0.1]),
    (["clip", -0.5, 1.5],),
    (["sigmoid"],),
    (["tanh"],),
    (["silu"],),
    (["hard_sigmoid"],),
    (["hard_swish"],),
]


@pytest.mark.parametrize(
    "epilogue", chosen(EPILOGUES[2:6], EPILOGUES), ids=lambda e: "-".join(step[0] for step in e)
)
def test_epilogues(epilogue: tuple[list[Any], ...]) -> None:
    """With chunks (only the last one has an epilogue) and a short group, on two image rows at a time."""
    conv = convolution((6, 21), (9, 7), 3)
    assert_matches(conv, (4, 2, 1), (27,), epilogue, rows_per_call=2)


@pytest.mark.parametrize("rows_per_call", [1, 2, 3])
def test_rows_on_demand(rows_per_call: int) -> None:
    assert_matches(convolution((7, 40), (8, 9), 3), (4, 1, 2), rows_per_call=rows_per_call)


@settings(max_examples=40)
@given(
    st.tuples(st.integers(2, 9), st.integers(1, 70)),
    st.tuples(st.integers(1, 9), st.integers(1, 13)),
    st.sampled_from([1, 3]),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.sampled_from([(4, 1, 1), (2, 2, 1)]),
    st.lists(st.integers(1, 8), max_size=2, unique=True),
    st.integers(0, 99),
)
def test_drawn_convolutions(
    size: tuple[int, int],
    channels: tuple[int, int],
    kernel: int,
    density: float,
    tile: tuple[int, int, int],
    boundaries: list[int],
    seed: int,
) -> None:
    taps = channels[0] * kernel * kernel
    inside = tuple(sorted(b for b in boundaries if b < taps))
    assert_matches(convolution(size, channels, kernel, density=density, seed=seed), tile, inside)


def unpacked(matrix: np.ndarray, packed: PatternStream, outputs: int) -> np.ndarray:
    """The matrix a stream stands for, read word by word; a column's offset must be its number."""
    out = np.zeros_like(matrix)
    words = iter(packed.stream.tolist())
    for groups, counts in zip(packed.channels.tolist(), packed.counts.tolist(), strict=True):
        chunk = np.zeros_like(matrix)
        for channels, steps in zip(groups, counts, strict=True):
            sums = np.zeros((outputs, matrix.shape[1]), np.float32)
            for kind, count in zip(step_kinds(outputs), steps, strict=True):
                for _ in range(count):
                    columns = [next(words) for _ in kind]
                    for column, pattern in zip(columns, kind, strict=True):
                        for row in rows_of(pattern):
                            sums[row, column] += np.int32(next(words)).view(np.float32)
            chunk[channels] = sums  # a channel that stands twice must have the same sums
        out += chunk
    assert next(words, None) is None
    return out


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.6, 1.0])
def test_a_stream_holds_every_nonzero_once(outputs: int, density: float) -> None:
    rng = np.random.default_rng(outputs)
    matrix = rng.standard_normal((23, 70)).astype(np.float32)
    matrix[rng.random(matrix.shape) >= density] = 0
    for boundaries in ((), (30,), (1, 69)):
        packed = pattern_stream(matrix, np.arange(70), outputs, boundaries)
        shape = (len(boundaries) + 1, -(-23 // outputs))
        assert packed.counts.shape == (*shape, len(step_kinds(outputs)))
        assert packed.channels.shape == (*shape, outputs)
        for channels in packed.channels:
            assert set(channels.ravel()) == set(range(23))
        np.testing.assert_array_equal(unpacked(matrix, packed, outputs), matrix)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6])
def test_steps_bring_every_row_forward_once(rows: int) -> None:
    kinds = step_kinds(rows)
    assert len(set(kinds)) == len(kinds)
    for kind in kinds:
        assert sorted(row for pattern in kind for row in rows_of(pattern)) == list(range(rows))
        assert step_words(kind) == len(kind) + rows


def test_rows_with_as_many_nonzeros_are_put_together() -> None:
    """Groups are as slow as their fullest row. Parts of the rows are not mixed, and the last row fills up."""
    counts = np.asarray([5, 90, 7, 91, 6, 1, 2, 3, 4, 5])
    nonzero = np.arange(100) < counts[:, None]
    assert group_rows(nonzero, 2, 2).tolist() == [[3, 1], [2, 4], [0, 0], [9, 8], [7, 6], [5, 5]]


def test_of_rows_with_as_many_nonzeros_those_that_share_columns_are_put_together() -> None:
    nonzero = np.zeros((6, 12), bool)
    for row, first in enumerate([0, 4, 8, 0, 8, 4]):
        nonzero[row, first : first + 4] = True
    assert group_rows(nonzero, 2).tolist() == [[0, 3], [1, 5], [2, 4]]


def test_more_steps_than_can_be_counted_need_chunks() -> None:
    matrix = np.ones((2, 70_000), np.float32)
    with pytest.raises(ValueError, match="use more chunks"):
        pattern_stream(matrix, np.arange(70_000), 2)
    assert pattern_stream(matrix, np.arange(70_000), 2, (35_000,)).chunks == 2
