"""One kernel of the registry, alone: on arrays made with NumPy, through the interpreter, as a plan calls it.

For tests of a kernel below the planner, and for microbenchmarks::

    call = OneKernel(Kernel("f32_fill_none_any", 16), {"value": 1.0, "size": 64, "out": out})
    call()
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph.types import F32, ElementType
from sparsenet.targets.abi import ROW_WORDS, encode_float, encode_pointer
from sparsenet.targets.cpu.runtime import tape
from sparsenet.targets.registry import Kernel


@dataclass(frozen=True)
class At:
    """A place in an array: ``offset`` bytes behind its first element."""

    array: npt.NDArray[np.generic]
    offset: int = 0


Argument = int | float | At | npt.NDArray[np.generic]


class OneKernel:
    """A tape of one row per set of arguments; calling it runs them in order.

    Args:
        kernel: what to run.
        *rows: argument name → whole number, float (stored as float32), array or place in one. Names are those of
            ``kernel.arguments``, all of them.
    """

    def __init__(self, kernel: Kernel, *rows: Mapping[str, Argument]) -> None:
        self._arrays: list[npt.NDArray[np.generic]] = []  # a base each, kept alive
        self._tape = np.zeros((len(rows), ROW_WORDS), np.int64)
        for tape_row, arguments in zip(self._tape, rows, strict=True):
            missing, unknown = set(kernel.arguments) - set(arguments), set(arguments) - set(kernel.arguments)
            if missing or unknown:
                raise ValueError(f"{kernel.name}: missing {sorted(missing)}, unknown {sorted(unknown)}")
            words = [kernel.address(), *(self._word(arguments[name]) for name in kernel.arguments)]
            tape_row[: len(words)] = words
        self._bases = np.asarray([array.ctypes.data for array in self._arrays] or [0], np.int64)
        self._run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(tape.address("run_tape"))
        self._arguments = (self._tape.ctypes.data, len(rows), self._bases.ctypes.data)

    def _word(self, value: Argument) -> int:
        if isinstance(value, np.ndarray):
            value = At(value)
        if isinstance(value, At):
            known = [i for i, array in enumerate(self._arrays) if array is value.array]
            if not known:
                self._arrays.append(value.array)
            return encode_pointer(known[0] if known else len(self._arrays) - 1, value.offset)
        return encode_float(value) if isinstance(value, float) else int(value)

    def __call__(self) -> None:
        """Run every row in order."""
        self._run(*self._arguments)


def aligned(shape: tuple[int, ...], fill: float = 0, element: ElementType = F32) -> npt.NDArray[Any]:
    """An array that starts on a cache line."""
    size = int(np.prod(shape))
    raw = np.full(size + 64 // element.itemsize, fill, element.dtype)
    first = -raw.ctypes.data % 64 // element.itemsize
    return raw[first : first + size].reshape(shape)


class Map:
    """A feature map in rows, ``[row][channel][line]``, with a halo of rows and columns around it.

    Args:
        channels, height, width: pixels.
        lanes: of the vectors that lines are whole multiples of.
        side, edge: halo columns and rows on either side.
        fill: what every other number holds before the first write, as an arena's leftovers would.
        element: type of the numbers, of 32 bits.
        halo: what the halo holds.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        lanes: int,
        *,
        side: int = 0,
        edge: int = 0,
        fill: float = 0,
        element: ElementType = F32,
        halo: int = 0,
    ) -> None:
        self.channels, self.height, self.width, self.lanes, self.edge = channels, height, width, lanes, edge
        self.line_vectors = -(-width // lanes)
        self.line = -(-(width + side) // lanes) * lanes
        if self.line % 128 == 0:  # would map all channels onto few sets of the first-level cache
            self.line += 16
        self._guard = 64 + -(-side // 16) * 16  # shifted taps read over the ends
        rows = height + 2 * edge
        self.numbers = aligned((2 * self._guard + rows * channels * self.line,), fill, element)
        self.rows = self.numbers[self._guard : self.numbers.size - self._guard].reshape(
            rows, channels, self.line
        )
        for outside in (self.rows[:edge], self.rows[rows - edge :]):
            outside[...] = halo
        if side:  # the end of a line is its right halo and the left halo of the next
            self.rows[:, :, width:] = halo
            self.numbers[self._guard - side : self._guard] = halo

    @property
    def row_bytes(self) -> int:
        """From one image row to the next."""
        return self.channels * self.line * 4

    @property
    def channel_bytes(self) -> int:
        """From one channel's line to the next."""
        return self.line * 4

    def at(self, row: int = 0) -> At:
        """Pixel (row, 0) of channel 0."""
        return At(self.numbers, self._guard * 4 + (row + self.edge) * self.row_bytes)

    @property
    def pixels(self) -> npt.NDArray[Any]:
        """The pixels alone, (channels, height, width), a view."""
        return self.rows[self.edge : self.edge + self.height, :, : self.width].transpose(1, 0, 2)

    def lane_bits(self) -> npt.NDArray[np.uint16]:
        """One word per vector of a line, bit i set where lane i is a pixel."""
        inside = np.arange(self.line_vectors * self.lanes).reshape(-1, self.lanes) < self.width
        return (inside @ (1 << np.arange(self.lanes))).astype(np.uint16)

    def lines(self) -> dict[str, Argument]:
        """How lines lie, for a kernel that writes this map."""
        return {
            "height": self.height,
            "full_vectors": self.width // self.lanes,
            "lane_bits": self.lane_bits(),
            "line_vectors": self.line_vectors,
            "halo_vectors": self.line // self.lanes - self.line_vectors,
        }

    def output(self) -> dict[str, Argument]:
        """Where a kernel writes this map."""
        return {"out": self.at(), "out_row": self.row_bytes, "out_channel": self.channel_bytes}
