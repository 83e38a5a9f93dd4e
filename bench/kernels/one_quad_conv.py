"""One convolution in 8 bits as each kernel family takes it, on maps of its own, and what it must be to the bit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bench.kernels.one_kernel import Argument, At, Map, OneKernel
from sparsenet.graph.types import EVERY_BYTE, QUAD, U8X4
from sparsenet.targets.cpu.lower.fixed_point import multipliers, range_of_sums
from sparsenet.targets.cpu.lower.pack import csr_stream, dense_blocks
from sparsenet.targets.cpu.lower.pack_quads import (
    bias_at,
    in_pairs,
    quad_pattern,
    weight_quads,
    whole_quads,
    without_groups,
    without_saturation,
)
from sparsenet.targets.family import Dot
from sparsenet.targets.registry import Kernel


def quads_of(pixels: npt.NDArray[np.uint8], spare: int = 0) -> npt.NDArray[np.uint32]:
    """(C, H, W) bytes as quads (ceil(C / 4), H, W); ``spare`` fills up the last ones."""
    channels = -len(pixels) % QUAD
    whole = np.pad(pixels, ((0, channels), (0, 0), (0, 0)), constant_values=spare)
    apart = whole.reshape(-1, QUAD, *pixels.shape[1:]).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(apart).view("<u4")[..., 0]


def bytes_of(quads: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """(C / 4, H, W) quads as (C, H, W) bytes."""
    apart = np.ascontiguousarray(quads).view(np.uint8).reshape(*quads.shape, QUAD)
    return apart.transpose(0, 3, 1, 2).reshape(QUAD * len(quads), *quads.shape[1:])


@dataclass
class Added:
    """A map that is added before rounding: bytes (C_out, H, W), worth ``scale`` * (byte - ``zero``)."""

    pixels: npt.NDArray[np.uint8]
    scale: float
    zero: int


@dataclass
class QuadConvolution:
    """A stride-1 convolution in 8 bits of one image whose output is as large as its input.

    Attributes:
        x: (C_in, H, W) bytes.
        weight: (C_out, C_in / groups, K, K) int8, K odd.
        bias: (C_out,) int32.
        scale: (C_out,) float32, of the sums.
        lanes: quads per vector.
        zero_in, zero_out: zero points of input and output.
        low, high: bounds of the output, of all channels or (C_out,) of each.
        dilation, groups: of the convolution.
        added: what is added before rounding, if anything.
        leftovers: the byte in every place that nobody has written.
    """

    x: npt.NDArray[np.uint8]
    weight: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    scale: npt.NDArray[np.float32]
    lanes: int
    zero_in: int = 0
    zero_out: int = 0
    low: npt.ArrayLike = 0
    high: npt.ArrayLike = 255
    dilation: int = 1
    groups: int = 1
    added: Added | None = None
    leftovers: int = 0
    source: Map = field(init=False)
    out: Map = field(init=False)

    def __post_init__(self) -> None:
        _, height, width = self.x.shape
        self.reach = self.weight.shape[2] // 2 * self.dilation
        quads = quads_of(self.x, self.leftovers)
        self.source = self._map(len(quads), height, width, self.zero_in, self.reach)
        self.source.pixels[...] = quads
        self.out = self._map(-(-len(self.weight) // QUAD), height, width, self.zero_out)
        if self.added:
            quads = quads_of(self.added.pixels, self.leftovers)
            self._residual = self._map(len(quads), height, width, self.added.zero)
            self._residual.pixels[...] = quads

    def _map(self, channels: int, height: int, width: int, zero: int, edge: int = 0) -> Map:
        return Map(
            channels, height, width, self.lanes, side=self.reach, edge=edge,
            fill=self.leftovers * EVERY_BYTE, element=U8X4, halo=zero * EVERY_BYTE,
        )  # fmt: skip

    def offsets(self) -> npt.NDArray[np.int64]:
        """Byte offset of each tap, all quads of the input, from the window's first pixel."""
        rows, columns = self._rows_and_columns()
        quads = np.arange(self.source.channels)[:, None, None] * self.source.channel_bytes
        offsets = quads + rows[:, None] + columns
        return np.asarray(offsets, np.int64).reshape(-1)

    def _rows_and_columns(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Byte offsets of the window's rows and columns."""
        window = np.arange(self.weight.shape[2], dtype=np.int64) * self.dilation
        return window * self.source.row_bytes, window * U8X4.itemsize

    def _first_tap(self) -> At:
        """The first pixel of the first window."""
        x = self.source.at(-self.reach)
        return At(x.array, x.offset - self.reach * U8X4.itemsize)

    def pattern(self, dot: int = Dot.VNNI) -> dict[str, Argument]:
        """Arguments of ``u8x4_conv_pattern_rows`` alone."""
        return {**quad_pattern(*self._matrix(dot))._asdict()}

    def csr(self, dot: int = Dot.VNNI) -> dict[str, Argument]:
        """Arguments of ``u8x4_conv_csr_rows`` alone."""
        row_offsets, stream = csr_stream(*self._matrix(dot))
        return {"row_offsets": row_offsets, "stream": stream}

    def dense(self, dot: int = Dot.VNNI) -> dict[str, Argument]:
        """Arguments of ``u8x4_conv_dense_rows`` alone; for ``Dot.BYTES`` weights must need no halves."""
        matrix = weight_quads(self.weight)
        x_group = self.source.channels // self.groups * self.source.channel_bytes
        return {
            "tap_offsets": self.offsets()[: matrix.shape[1]].astype(np.int32),
            "weights": dense_blocks(matrix, QUAD),
            "taps": matrix.shape[1],
            "groups": self.groups,
            "x_group": x_group,
        }

    def panel(self, dot: int, tile: tuple[int, int]) -> dict[str, Argument]:
        """The weights as ``panelconv_csr_rows`` takes them, for a tile of (rows, vectors)."""
        matrix, offsets = self._matrix(dot)
        taps, places = np.unique(offsets, return_inverse=True)
        tap_bytes = math.prod(tile) * self.lanes * U8X4.itemsize
        row_offsets, stream = csr_stream(matrix, places.reshape(offsets.shape) * tap_bytes)
        ends = range_of_sums(self.weight, self.bias, self.zero_in)
        limits = (np.broadcast_to(bound, len(self.weight)) - self.zero_out for bound in (self.low, self.high))
        return {
            "row_offsets": row_offsets,
            "multiplier": whole_quads(multipliers(self.scale, *ends, *limits)),
            "stream": in_pairs(row_offsets, stream),
            "tap_offsets": taps.astype(np.int32),
            "taps": taps.size,
        }

    def _matrix(self, dot: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.integer]]:
        matrix, offsets = weight_quads(without_groups(self.weight, self.groups)), self.offsets()
        return without_saturation(matrix, offsets) if dot == Dot.BYTES else (matrix, offsets)

    def call(self, kernel: Kernel, weights: dict[str, Argument]) -> OneKernel:
        """Ready to run, the whole map in one call; ``weights`` from ``pattern``, ``csr`` or ``dense``."""
        arguments: dict[str, Argument] = {
            "x": self._first_tap(),
            "x_row": self.source.row_bytes,
            "bias": whole_quads(bias_at(self.bias, self.weight, self.zero_in, Dot(kernel.parameter("dot")))),
            "scale": whole_quads(self.scale),
            "zero": self.zero_out,
            "low": self._each(self.low),
            "high": self._each(self.high),
            "c_out": self.out.channels,
            **weights,
            **self.out.lines(),
            **self.out.output(),
        }
        if self.added:
            arguments |= {
                "residual.0": self._residual.at(),
                "residual_row.0": self._residual.row_bytes,
                "residual_channel.0": self._residual.channel_bytes,
                "residual_scale.0": self.added.scale,
                "residual_zero.0": self.added.zero,
            }
        return OneKernel(kernel, arguments)

    def _each(self, bound: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        return whole_quads(np.broadcast_to(np.asarray(bound, np.uint8), len(self.weight)))

    def result(self) -> npt.NDArray[np.uint8]:
        """(C_out, H, W) bytes of the output map."""
        return bytes_of(self.out.pixels)[: len(self.weight)]
