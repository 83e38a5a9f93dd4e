"""One convolution as each kernel family takes it, on maps of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bench.kernels.one_kernel import Argument, At, Map, OneKernel
from sparsenet.targets.cpu.lower.pack import csr_stream, dense_blocks
from sparsenet.targets.cpu.lower.pack_pattern import pattern_stream
from sparsenet.targets.registry import Kernel

Floats = npt.NDArray[np.float32]


@dataclass
class Convolution:
    """A stride-1 convolution of one image whose output is as large as its input.

    Attributes:
        x: (C_in, H, W).
        weight: (C_out, C_in / groups, K, K), K odd.
        bias: (C_out,).
        lanes: float32 per vector.
        dilation, groups: of the convolution.
        leftovers: what the maps hold where nobody has written: all of the output, the ends of the input's lines.
    """

    x: Floats
    weight: Floats
    bias: Floats
    lanes: int
    dilation: int = 1
    groups: int = 1
    leftovers: float = 0.0
    source: Map = field(init=False)
    out: Map = field(init=False)

    def __post_init__(self) -> None:
        c_in, height, width = self.x.shape
        self.reach = self.weight.shape[2] // 2 * self.dilation
        self.source = Map(
            c_in, height, width, self.lanes, side=self.reach, edge=self.reach, fill=self.leftovers
        )
        self.source.pixels[...] = self.x
        self.out = Map(self.weight.shape[0], height, width, self.lanes, side=self.reach, fill=self.leftovers)
        self.matrix = self.weight.reshape(self.weight.shape[0], -1)

    def offsets(self) -> npt.NDArray[np.int64]:
        """Byte offset of each tap of the first group from the window's first pixel."""
        channels, size = self.weight.shape[1], self.weight.shape[2]
        window = np.arange(size) * self.dilation
        offsets = (
            np.arange(channels)[:, None, None] * self.source.channel_bytes
            + window[:, None] * self.source.row_bytes
            + window * 4
        )
        return np.asarray(offsets, np.int64).reshape(-1)

    def row_offsets(self) -> npt.NDArray[np.int64]:
        """Byte offset of each tap of every output channel; (taps,) if they are all the same."""
        if self.groups == 1:
            return self.offsets()
        group = np.repeat(np.arange(self.groups), self.weight.shape[0] // self.groups)
        first: npt.NDArray[np.int64] = group * self.weight.shape[1] * self.source.channel_bytes
        return self.offsets() + first[:, None]

    def pattern(self, outputs: int, boundaries: tuple[int, ...] = ()) -> dict[str, Argument]:
        """Arguments of ``f32_conv_pattern_rows`` alone; ``boundaries`` are tap numbers."""
        packed = pattern_stream(self.matrix, self.row_offsets(), outputs, boundaries, self.groups)
        return {
            "stream": packed.stream,
            "counts": packed.counts,
            "channels": packed.channels,
            "row_groups": packed.row_groups,
            "chunks": packed.chunks,
        }

    def csr(self) -> dict[str, Argument]:
        """Arguments of ``f32_conv_csr_rows`` alone."""
        row_offsets, stream = csr_stream(self.matrix, self.row_offsets())
        return {"row_offsets": row_offsets, "stream": stream, "c_out": self.weight.shape[0]}

    def dense(self, outputs: int) -> dict[str, Argument]:
        """Arguments of ``f32_conv_dense_rows`` alone."""
        return {
            "tap_offsets": self.offsets().astype(np.int32),
            "weights": dense_blocks(self.matrix, outputs, self.groups),
            "taps": self.matrix.shape[1],
            "groups": self.groups,
            "x_group": self.weight.shape[1] * self.source.channel_bytes,
            "c_out": self.weight.shape[0],
        }

    def blocked(self, outputs: int, repeats: int) -> dict[str, Argument]:
        """Arguments of ``f32_conv_blocked_rows`` alone; its weights stand there ``repeats`` times."""
        weights = dense_blocks(self.matrix, outputs, self.groups, repeats)
        place: dict[str, Argument] = {"width": self.out.width, "halo": self.out.line - self.out.width}
        return {**self.dense(outputs), "weights": weights, **place}

    def call(
        self,
        kernel: Kernel,
        weights: dict[str, Argument],
        epilogue: dict[str, Argument] | None = None,
        rows_per_call: int | None = None,
    ) -> OneKernel:
        """Ready to run, the whole map in one call or a few rows at a time.

        Args:
            kernel: of any of these families.
            weights: from ``pattern``, ``csr``, ``dense`` or ``blocked``.
            epilogue: arguments of the kernel's epilogue; row by row, residuals are advanced by their rows.
            rows_per_call: all if None.
        """
        height = self.out.height
        step = rows_per_call or height
        tape = []
        for y in range(0, height, step):
            y = min(y, height - step)
            x = self.source.at(y - self.reach)
            x = At(x.array, x.offset - self.reach * 4)
            arguments = {"x": x, "bias": self.bias, "x_row": self.source.row_bytes, **weights}
            if "line_vectors" in kernel.arguments:
                arguments |= self.out.lines()
            arguments |= {**self.out.output(), "height": step, "out": self.out.at(y)}
            for name, value in (epilogue or {}).items():
                if isinstance(value, At):
                    value = At(value.array, value.offset + y * self.out.row_bytes)
                arguments[name] = value
            tape.append(arguments)
        return OneKernel(kernel, *tape)
