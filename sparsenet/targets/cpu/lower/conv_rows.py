"""Stages that convolve rows: whatever the weights' format, rows are requested and written in one way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.stage import Emitter, Need, Span, Stage
from sparsenet.plan.weights import Weights
from sparsenet.plan.window import Window
from sparsenet.targets.cpu.lower.epilogues import Epilogue
from sparsenet.targets.cpu.lower.pack_pattern import PatternStream, pattern_stream
from sparsenet.targets.registry import Kernel


@dataclass(eq=False)
class WindowRows(Stage):
    """A stage that convolves rows.

    Attributes:
        kernel: the kernel of the usual tile; for fewer rows than that has, one of a lower tile.
        channels, block_channels: output channels, and how many of them a block has.
    """

    window: Window
    kernel: Kernel
    epilogue: Epilogue
    channels: int
    block_channels: int
    fixed: dict[str, Word]

    def needs(self, first: int, last: int) -> list[Need]:
        return [self.window.needs(first, last), *self.epilogue.needs(first, last)]

    def channels_of(self, blocks: Span) -> Span:
        return blocks[0] * self.block_channels, min(blocks[1] * self.block_channels, self.channels)

    def kernel_for(self, rows: int) -> Kernel:
        """The kernel that computes ``rows`` rows."""
        fits = rows >= self.kernel.parameter("rows")
        return self.kernel if fits else self.kernel.with_parameter("rows", rows)


@dataclass(eq=False)
class ConvRows(WindowRows):
    """A convolution whose weights are stored in the order of the output channels.

    Attributes:
        fixed: arguments that are the same in every call.
        per_channel: arguments to advance by output channel, and by how many bytes.
        input_step: (channels, bytes): so many output channels on, the input is so many bytes on (depthwise).
    """

    per_channel: dict[str, tuple[Ref, int]]
    input_step: tuple[int, int] = (1, 0)

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        begin, end = self.channels_of(blocks)
        channels, step = self.input_step
        to.call(
            self.kernel_for(last - first),
            x=self.window.at(to, first) + begin // channels * step,
            x_row=self.window.out_row,
            c_out=end - begin,
            height=last - first,
            out=to.row(self.out, first) + begin * self.out.rows.channel_bytes,
            **self.fixed,
            **{name: start + begin * step for name, (start, step) in self.per_channel.items()},
            **self.epilogue.arguments(to, first, begin),
        )


@dataclass(eq=False)
class PatternRows(WindowRows):
    """A convolution whose output channels are grouped by pattern: every share of channels is packed by itself.

    Attributes:
        matrix, offsets: (C_out, taps) weights and the byte offset of each tap, shape (taps,) or (C_out, taps).
        chunks: taps at which a new chunk of input channels begins.
        groups: number of groups of the convolution.
    """

    matrix: FloatArray
    offsets: npt.NDArray[np.int64]
    chunks: list[int]
    groups: int
    bias: Ref
    _packed: dict[Span, dict[str, Word]] = field(default_factory=dict)

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        to.call(
            self.kernel_for(last - first),
            x=self.window.at(to, first),
            x_row=self.window.out_row,
            height=last - first,
            out=to.row(self.out, first),
            bias=self.bias,
            **self.fixed,
            **self._packed[blocks],
            **self.epilogue.arguments(to, first),
        )

    def pack(self, weights: Weights, shares: Sequence[Span]) -> None:
        self._packed = {blocks: self._pack(weights, blocks) for blocks in shares}

    def _pack(self, weights: Weights, blocks: Span) -> dict[str, Word]:
        outputs, whole = self.kernel.parameter("outputs"), blocks == (0, self.channel_blocks)
        begin, end = self.channels_of(blocks)
        offsets = self.offsets if self.offsets.ndim == 1 else self.offsets[begin:end]
        groups = self.groups if whole else 1
        packed = weights.once(_pattern_share, self.matrix, begin, end, offsets, outputs, self.chunks, groups)
        return {
            "stream": weights.constant(packed.stream),
            "counts": weights.constant(packed.counts),
            "channels": weights.constant(packed.channels),
            "row_groups": packed.row_groups,
            "chunks": packed.chunks,
        }


def _pattern_share(matrix: FloatArray, begin: int, end: int, *how: Any) -> PatternStream:
    """The packed output channels from ``begin`` to ``end``; ``how``: the other arguments of ``pattern_stream``."""
    packed = pattern_stream(matrix[begin:end], *how)
    return replace(packed, channels=packed.channels + np.int32(begin))
