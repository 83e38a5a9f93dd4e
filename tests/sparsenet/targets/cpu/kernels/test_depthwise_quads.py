"""Depthwise convolution in 8 bits, equal to the bit to integer arithmetic in NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bench.kernels.one_kernel import At, Map, OneKernel
from bench.kernels.one_quad_conv import bytes_of, quads_of
from sparsenet.graph.types import EVERY_BYTE, QUAD, U8X4
from sparsenet.targets.cpu.lower.pack_quads import bias_at, whole_quads, window_quads
from sparsenet.targets.family import CLIP_ANY, Dot
from sparsenet.targets.host import host
from sparsenet.targets.registry import Kernel
from tests.full import FULL

#: All that this machine has but the one that saturates, for which weights would have to be split.
DOTS = [
    Dot.PLAIN,
    *(
        dot
        for dot in Dot
        if dot.is_arm == host().dot.is_arm and dot not in (Dot.PLAIN, Dot.BYTES) and dot <= host().dot
    ),
]
LANES = [lanes for lanes in (16, 8, 4) if lanes <= host().vector().lanes]


def exact(
    x: npt.NDArray[np.uint8], weight: npt.NDArray[np.int8], bias: npt.NDArray[np.int32], stride: int,
    dilation: int, zero: int,
) -> npt.NDArray[np.int64]:  # fmt: skip
    """Sums (C, H_out, W_out) in int64, tap by tap; padding by half of the window on every side."""
    _, _, height, width = weight.shape
    down, right = height // 2 * dilation, width // 2 * dilation
    padded = np.pad(x.astype(np.int64) - zero, ((0, 0), (down, down), (right, right)))
    rows, columns = (-(-size // stride) for size in x.shape[1:])
    sums = np.tile(bias.astype(np.int64)[:, None, None], (1, rows, columns))
    for i, j in np.ndindex(height, width):
        seen = padded[:, i * dilation :, j * dilation :][:, ::stride, ::stride][:, :rows, :columns]
        sums += weight[:, 0, i, j].astype(np.int64)[:, None, None] * seen
    return sums


def assert_exact(
    shape: tuple[int, int, int], window: tuple[int, int], lanes: int, rows: int, dot: Dot, *,
    stride: int = 1, dilation: int = 1, zeros: tuple[int, int] = (114, 3), bounds: tuple[int, int] = (0, 255),
    extreme: bool = False,
) -> None:  # fmt: skip
    rng = np.random.default_rng(sum(shape))
    channels, height, width = shape
    weight = rng.integers(-128, 128, (channels, 1, *window)).astype(np.int8)
    x = rng.integers(0, 256, shape).astype(np.uint8)
    if extreme:
        x[...], weight[...] = 255, np.where(weight < 0, -128, 127)
    bias = rng.integers(-3000, 3000, channels).astype(np.int32)
    scale = rng.uniform(0.003, 0.02, channels).astype(np.float32)
    down, right = window[0] // 2 * dilation, window[1] // 2 * dilation
    leftovers, (zero_in, zero_out) = 99 * EVERY_BYTE, zeros
    low, high = (
        rng.integers(least, most, channels).astype(np.uint8)
        for least, most in ((bounds[0], 40), (180, bounds[1] + 1))
    )
    source = Map(-(-channels // QUAD), height, width, lanes, side=right, edge=max(down, 1), fill=leftovers,
                 element=U8X4, halo=zero_in * EVERY_BYTE)  # fmt: skip
    source.pixels[...] = quads_of(x, 99)
    sums = exact(x, weight, bias, stride, dilation, zero_in)
    out = Map(source.channels, *sums.shape[1:], lanes, side=1, fill=leftovers, element=U8X4)
    first = source.at(-down)
    kernel = Kernel("u8x4_depthwise_dense_rows", lanes, (*window, stride, rows, dot, CLIP_ANY))
    OneKernel(
        kernel,
        {
            "x": At(first.array, first.offset - right * U8X4.itemsize),
            "column_offsets": (np.arange(window[1]) * dilation * U8X4.itemsize).astype(np.int32),
            "weights": window_quads(weight),
            "bias": whole_quads(bias_at(bias, weight, zero_in, dot)),
            "scale": whole_quads(scale),
            "zero": zero_out, "low": whole_quads(low), "high": whole_quads(high),
            "multiplier": np.zeros(4 * source.channels, np.int32),
            "tap_row": dilation * source.row_bytes, "x_row": stride * source.row_bytes,
            "x_channel": source.channel_bytes, "c_out": source.channels,
            **out.lines(), **out.output(),
        },
    )()  # fmt: skip
    values = sums.astype(np.int32).astype(np.float32) * scale[:, None, None]
    steps = np.rint(values).astype(np.int64) + zero_out
    wanted = np.clip(steps, low[:, None, None], high[:, None, None]).astype(np.uint8)
    np.testing.assert_array_equal(bytes_of(out.pixels)[:channels], wanted)
    assert (bytes_of(out.rows[..., out.width :].transpose(1, 0, 2)) == zero_out).all(), "the halo"


@pytest.mark.parametrize("dot", DOTS, ids=lambda dot: dot.name)
def test_windows(dot: Dot) -> None:
    assert_exact((6, 5, 11), (3, 3), 4, 2, dot)
    assert_exact((6, 4, 5), (3, 3), 4, 2, dot, extreme=True, zeros=(0, 128))
    assert_exact((9, 7, 11), (3, 3), 4, 2, dot, stride=2, zeros=(255, 0), bounds=(10, 200))
    assert_exact((4, 6, 9), (5, 3), 4, 1, dot, dilation=2)


@pytest.mark.parametrize("lanes", LANES if FULL else LANES[:1])
def test_long_vectors(lanes: int) -> None:
    assert_exact((8, 5, 2 * lanes + 5), (5, 5), lanes, 2, host().dot)
    if FULL:
        for stride, rows, size in ((1, 1, 3), (2, 1, 3), (2, 2, 5), (1, 4, 3), (1, 4, 7)):
            assert_exact((5, 9, lanes + 3), (size, size), lanes, rows, host().dot, stride=stride)
