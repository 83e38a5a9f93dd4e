"""Convolutions in 8 bits, equal to the bit to integer arithmetic in NumPy, by every instruction that this CPU has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from bench.kernels.one_quad_conv import Added, QuadConvolution, bytes_of, quads_of
from sparsenet.errors import SparsenetError
from sparsenet.graph.types import QUAD
from sparsenet.targets.cpu.lower.pack_quads import (
    quad_pattern,
    weight_quads,
    without_groups,
    without_saturation,
)
from sparsenet.targets.cpu.patterns import bucket_kinds, rows_of
from sparsenet.targets.cpu.runtime.jit import cpu_features
from sparsenet.targets.cpu.vector_ir import quads
from sparsenet.targets.family import CLIP_ANY, Clip, Dot
from sparsenet.targets.host import host
from sparsenet.targets.registry import Kernel
from tests.full import FULL


def convolution(
    size: tuple[int, int],
    channels: tuple[int, int],
    kernel: int = 1,
    *,
    lanes: int = 4,
    density: float = 0.4,
    zeros: tuple[int, int] = (114, 3),
    bounds: tuple[int, int] = (0, 255),
    dilation: int = 1,
    groups: int = 1,
    add: bool = False,
    extreme: bool = False,
    seed: int = 0,
) -> QuadConvolution:
    """Random data, each channel clipped somewhere behind ``bounds``; if ``extreme``, the largest that there are."""
    rng = np.random.default_rng(seed)
    shape = (channels[1], channels[0] // groups, kernel, kernel)
    weight, x = rng.integers(-127, 128, shape), rng.integers(0, 256, (channels[0], *size))
    if extreme:
        weight, x = np.where(weight[:, :1] < 0, -127, 127) + 0 * weight, 255 + 0 * x
    weight[rng.random(shape) >= density] = 0
    added = Added(rng.integers(0, 256, (channels[1], *size)).astype(np.uint8), 0.37, 77) if add else None
    largest = 127 * 128 * max(1.0, density * weight[0].size) ** 0.5
    return QuadConvolution(
        x.astype(np.uint8),
        weight.astype(np.int8),
        rng.integers(-5000, 5000, channels[1]).astype(np.int32),
        (rng.uniform(0.5, 2, channels[1]) * 200 / largest).astype(np.float32),
        lanes,
        *zeros,
        *(rng.integers(*ends, channels[1]) for ends in ((bounds[0], 30), (190, bounds[1] + 1))),
        dilation=dilation,
        groups=groups,
        added=added,
        leftovers=99,
    )


def expected(conv: QuadConvolution) -> npt.NDArray[np.uint8]:
    """Tap by tap in int64, then float32 products and sums, each rounded by itself."""
    c_out, group_in, size, _ = conv.weight.shape
    height, width = conv.x.shape[1:]
    padded = np.pad(conv.x.astype(np.int64) - conv.zero_in, ((0, 0), *[(conv.reach, conv.reach)] * 2))
    sums = np.tile(conv.bias.astype(np.int64)[:, None, None], (1, height, width))
    for channel in range(c_out):
        first = channel // (c_out // conv.groups) * group_in
        for i, y, x in np.ndindex(group_in, size, size):
            rows = slice(y * conv.dilation, y * conv.dilation + height)
            columns = slice(x * conv.dilation, x * conv.dilation + width)
            sums[channel] += int(conv.weight[channel, i, y, x]) * padded[first + i, rows, columns]
    assert abs(sums).max() < 2**31
    values = sums.astype(np.int32).astype(np.float32) * conv.scale[:, None, None]
    if conv.added:
        steps = (conv.added.pixels.astype(np.int32) - conv.added.zero).astype(np.float32)
        values = values + steps * np.float32(conv.added.scale)
    assert values.dtype == np.float32
    bounds = (np.asarray(bound)[:, None, None] for bound in (conv.low, conv.high))
    return np.clip(np.rint(values).astype(np.int64) + conv.zero_out, *bounds).astype(np.uint8)


def assert_exact(
    conv: QuadConvolution, algorithm: str, tile: tuple[int, int], dot: Dot, clip: Clip | None = None
) -> None:
    """Pixels are those of NumPy, and the rest of every line that is written is the zero point."""
    epilogue = ("add",) if conv.added else ()
    sizes = (*tile, dot) if clip is None else (*tile, dot, clip)
    kernel = Kernel(f"u8x4_{algorithm}_rows", conv.lanes, sizes, epilogue)
    ways = {
        "conv_csr": conv.csr,
        "conv_pattern": conv.pattern,
        "conv_dense": conv.dense,
        "panelconv_csr": lambda dot: conv.panel(dot, tile),
    }
    weights = ways[algorithm](dot)
    conv.call(kernel, weights)()
    np.testing.assert_array_equal(conv.result(), expected(conv))
    width = conv.out.width
    assert (bytes_of(conv.out.rows[..., width:].transpose(1, 0, 2)) == conv.zero_out).all(), "the halo"


ALGORITHMS = ["conv_csr", "conv_pattern", "conv_dense"]
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)
DOTS = [Dot.PLAIN, *(dot for dot in Dot if dot.is_arm == host().dot.is_arm and Dot.PLAIN < dot <= host().dot)]
BEST = host().dot


def sharp() -> list[QuadConvolution]:
    """Lines shorter than a vector and longer than a tile, quads not full, other windows, groups, all limits."""
    return [
        convolution((3, 3), (3, 5), zeros=(114, 0)),
        convolution((4, 21), (9, 7), 3, zeros=(0, 255)),
        convolution((5, 13), (8, 8), 3, dilation=2, zeros=(255, 0), bounds=(20, 200)),
        convolution((2, 64), (16, 4), density=0.0),
        convolution((3, 9), (33, 6), density=1.0, extreme=True, zeros=(0, 128)),
        convolution((2, 30), (8, 8), 3, groups=2, bounds=(3, 255)),
    ]


@algorithms
@pytest.mark.parametrize("dot", DOTS, ids=lambda dot: dot.name)
def test_convolutions(algorithm: str, dot: Dot) -> None:
    if (algorithm, dot) == ("conv_dense", Dot.BYTES):
        pytest.skip("its weights would have to be halved")
    for conv in sharp():
        assert_exact(conv, algorithm, (1, 1), dot)


def test_panels() -> None:
    """Short vectors, as AArch64 has: more rows than one, and fewer than a tile's."""
    dot = BEST if BEST != Dot.BYTES else Dot.PLAIN
    for conv in (*sharp(), convolution((4, 21), (12, 7), 3, add=True, bounds=(20, 200))):
        assert_exact(conv, "panelconv_csr", (2, 1), dot, CLIP_ANY)
    conv = convolution((4, 29), (8, 8), 3)
    conv = replace(conv, low=0 * conv.low, high=255 + 0 * conv.high)
    assert_exact(conv, "panelconv_csr", (1, 7), dot, Clip.ZERO)


#: Vectors of 128 bits are tested above.
LANES = [lanes for lanes in (16, 8) if lanes <= host().vector().lanes]


@pytest.mark.parametrize("lanes", LANES)
def test_fused_addition_with_long_vectors_and_tiles(lanes: int) -> None:
    for dot in DOTS if FULL else (BEST, Dot.PLAIN):
        for conv in (
            convolution((4, 2 * lanes + 5), (12, 6), 3, lanes=lanes, add=True),
            convolution((2, 3 * lanes), (7, 8), lanes=lanes, add=True, density=1.0, zeros=(7, 0)),
        ):
            assert_exact(conv, "conv_pattern", (2, 2), dot)


@pytest.mark.skipif(not FULL, reason="SPARSENET_FULL=1 compiles every tile")
@algorithms
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("add", [False, True])
def test_every_tile(algorithm: str, lanes: int, add: bool) -> None:
    for tile in ((1, 1), (1, 2), (1, 3), (1, 4), (2, 2)):
        for dot in DOTS:
            if (algorithm, dot) == ("conv_dense", Dot.BYTES):
                continue
            assert_exact(
                convolution((4, 4 * lanes + 3), (21, 13), 3, lanes=lanes, add=add), algorithm, tile, dot
            )


def test_groups_of_odd_channels_are_one_sparse_matrix() -> None:
    """Nothing is lost where a quad holds channels of two groups."""
    conv = convolution((3, 10), (6, 10), groups=2)
    for algorithm in ("conv_csr", "conv_pattern"):
        assert_exact(conv, algorithm, (1, 1), BEST)


def test_a_kernel_that_this_cpu_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM would end the process."""
    monkeypatch.setattr(quads, "cpu_features", lambda: cpu_features() - {"avx512vnni", "avxvnni"})
    with pytest.raises(SparsenetError, match="this CPU has no vpdpbusd of 256 bits"):
        Kernel("u8x4_conv_dense_rows", 8, (1, 1, Dot.VNNI)).build()


def test_quads_hold_consecutive_channels() -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(6, 1, 1)
    packed = quads_of(pixels, spare=9)
    assert [hex(number) for number in packed.ravel().tolist()] == ["0x3020100", "0x9090504"]
    assert bytes_of(packed).ravel().tolist() == [0, 1, 2, 3, 4, 5, 9, 9]
    weight = np.arange(-6, 6, dtype=np.int8).reshape(1, 6, 1, 2)
    matrix = weight_quads(weight)
    assert matrix.shape == (QUAD, 4)
    assert not matrix[1:].any()
    inside = matrix[0].view(np.int8).reshape(2, 2, 4)  # quad, column, channel of the quad
    np.testing.assert_array_equal(inside.transpose(0, 2, 1).reshape(8, 2)[:6], weight[0, :, 0])
    assert not inside[1, :, 2:].any()


def test_halves_of_large_quads_add_up() -> None:
    """What is left of every pair times the largest pixels is an int16, and only quads that must be are divided."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (8, 60, QUAD)).astype(np.int8)
    weights[:, 20:] >>= 1
    weights[0, :4] = [[127, 1, 0, 0], [127, 2, 0, 0], [-127, -127, 127, 127], [127, -127, 64, 64]]
    matrix, offsets = without_saturation(weights.view("<i4")[..., 0], np.arange(60))
    parts = matrix.view(np.int8).reshape(8, -1, QUAD).astype(int)
    pairs = 255 * parts.reshape(8, -1, 2, 2)
    assert np.maximum(pairs, 0).sum(axis=-1).max() < 2**15
    assert np.minimum(pairs, 0).sum(axis=-1).min() >= -(2**15)
    sums = np.zeros(weights.shape, int)
    for column, tap in enumerate(offsets.tolist()):
        sums[:, tap] += parts[:, column]
    np.testing.assert_array_equal(sums, weights)
    divided = {tap for tap, half in zip(offsets[60:].tolist(), parts[0, 60:], strict=True) if half.any()}
    assert divided & set(range(4)) == {1, 2}


def test_groups_become_blocks_of_one_matrix() -> None:
    weight = np.arange(1, 13, dtype=np.int8).reshape(4, 3, 1, 1)
    whole = without_groups(weight, 2)[..., 0, 0]
    expected = np.zeros((4, 6), np.int8)
    expected[:2, :3], expected[2:, 3:] = weight[:2, :, 0, 0], weight[2:, :, 0, 0]
    np.testing.assert_array_equal(whole, expected)


def test_a_pattern_of_quads_holds_each_once() -> None:
    """Groups keep the order of the rows, and each begins where its offset says."""
    rng = np.random.default_rng(0)
    matrix = rng.integers(-(2**31), 2**31, (12, 40)).astype(np.int32)
    matrix[rng.random(matrix.shape) < 0.6] = 0
    matrix[8:] = 0
    packed = quad_pattern(matrix, np.arange(40))
    unpacked = np.zeros_like(matrix)
    for group, offset in enumerate(packed.group_offsets.tolist()):
        words = iter(packed.stream[offset // 4 :].tolist())
        for kind, steps in zip(bucket_kinds(QUAD), packed.counts[group].tolist(), strict=True):
            for _ in range(steps):
                columns = [next(words) for _ in kind]
                for column, pattern in zip(columns, kind, strict=True):
                    for row in rows_of(pattern):
                        unpacked[QUAD * group + row, column] += np.int32(next(words))
    np.testing.assert_array_equal(unpacked, matrix)
