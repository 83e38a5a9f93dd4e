"""The processors that C is written for: how many instructions a kernel takes there, which decides kernels and tiles.

Counts are of Cortex-M code as GCC makes it; instructions, not cycles, are what a plan can know of a core.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """A kind of processor.

    Attributes:
        name: as the command line has it.
        tile: the most float32 results that a tile keeps in registers; two more hold a weight and a pixel.
        summary: for people.
        dot: whether it multiplies pairs of 16-bit numbers and adds them in one instruction.
        high: whether bytes are to be made by adding to the upper half of a product of 32-bit numbers, one instruction.
        mve: whether it has vectors of 16 bytes (Helium).
    """

    name: str
    tile: int
    summary: str
    dot: bool = False
    high: bool = False
    mve: bool = False

    def widths(self, width: int) -> range:
        """Tile widths to choose from for lines of ``width`` pixels; the last tile of a line overlaps the one before."""
        return range(1, min(width, self.tile) + 1)


MACHINES = {
    machine.name: machine
    for machine in (
        Machine("generic", 12, "any processor"),
        Machine("neon", 24, "Cortex-A, 32 vector registers"),
        Machine("cortex-m", 24, "Cortex-M4, M7 and M33 with their 32 float registers", dot=True, high=True),
        Machine("mve", 24, "Cortex-M55 and M85", dot=True, mve=True),
    )
}

#: Instructions around a stored result: the load of a channel's bias, its pointers, the end of its loop.
_PER_CHANNEL, _PER_ROW, _PER_CALL = 12, 6, 60
#: Of one nonzero, beside a load and a multiply-add for each pixel: weight, offset, address, loop.
_PER_NONZERO, _PER_NONZERO_I8 = 5, 8
#: Of one nonzero in integers, and of one quad of them, beside what each pixel takes.
_PER_BYTE, _PER_QUAD = 6, 7
#: Around the sums of a channel in integers.
_PER_SUMS = 25
#: Of one tap of a dense block, beside its loads and multiply-adds.
_PER_TAP = 3


def tiles(width: int, tile: int) -> int:
    """How many tiles make a line."""
    return -(-width // tile)


def csr_instructions(
    nonzeros: int, channels: int, kernel_rows: int, width: int, tile: int, *, small: bool, finish: int
) -> int:
    """Instructions of one output row by a sparse kernel; ``small``: its weights are bytes."""
    each = (_PER_NONZERO_I8 if small else _PER_NONZERO) + 2 * tile
    per_channel = _PER_CHANNEL + kernel_rows * _PER_ROW + tile * (2 + finish)
    return _PER_CALL + tiles(width, tile) * (nonzeros * each + channels * per_channel)


def dense_instructions(
    taps: int, channels: int, width: int, outputs: int, tile: int, *, small: bool, finish: int
) -> int:
    """Instructions of one output row by a dense kernel that makes ``outputs`` channels of ``tile`` pixels at a time."""
    each = outputs * (3 if small else 1) + tile + outputs * tile + _PER_TAP
    per_block = outputs * _PER_CHANNEL + outputs * tile * (2 + finish)
    return _PER_CALL + tiles(width, tile) * -(-channels // outputs) * (taps * each + per_block)


def depthwise_instructions(
    channels: int, k_h: int, k_w: int, width: int, tile: int, stride: int, *, small: bool, finish: int
) -> int:
    """Instructions of one output row by a depthwise kernel: each pixel is loaded once for each row of the window."""
    pixels = min((tile - 1) * stride + k_w, tile * k_w)
    row = pixels + k_w * (tile + (3 if small else 1)) + _PER_ROW
    return _PER_CALL + tiles(width, tile) * channels * (k_h * row + _PER_CHANNEL + tile * (2 + finish))


def max_pool_instructions(
    channels: int, k_h: int, k_w: int, inside: int, tile: int, stride: int, dilation: int
) -> int:
    """Instructions of one output row of max pooling, of ``inside`` pixels whose windows are inside of the line; a tile
    of no pixels does them one by one.
    """
    if tile == 0:
        return channels * inside * (k_h * k_w * 8 + 10)
    pixels = min((tile - 1) * stride + (k_w - 1) * dilation + 1, tile * k_w)
    return channels * tiles(inside, tile) * (k_h * (3 * pixels + _PER_ROW) + tile * (k_w + 2) + 30)


def bytes_instructions(nonzeros: int, channels: int, kernel_rows: int, width: int, tile: int) -> int:
    """Instructions of one output row in integers, weight by weight."""
    per_channel = kernel_rows * _PER_ROW + _PER_SUMS + 4 * tile
    return tiles(width, tile) * (nonzeros * (2 * tile + _PER_BYTE) + channels * per_channel)


def depthwise_bytes_instructions(k_h: int, k_w: int, width: int, tile: int, stride: int) -> int:
    """The same of each channel of a depthwise convolution."""
    seen = min((tile - 1) * stride + k_w, tile * k_w)
    return tiles(width, tile) * (k_h * (seen + k_w * tile) + _PER_SUMS + 4 * tile)


def quads_instructions(quads: int, channels: int, unpacked: int, width: int, tile: int, *, dot: bool) -> int:
    """The same quad by quad; ``unpacked``: quads of pixels that a tile sees; ``dot``: pairs take one instruction."""
    pixels = 5 * tile // 2 if dot else 16 * tile
    each = quads * (pixels + _PER_QUAD) + channels * (_PER_SUMS + 4 * tile)
    return tiles(width, tile) * (each + 8 * unpacked)


def groups_instructions(groups: int, channels: int, lines: int, length: int, width: int, tile: int) -> int:
    """All instructions of one output row by MVE, four quads at a time; ``lines``: of ``length`` pixels, copied for a
    tile.
    """
    copy = lines * (10 + 9 * -(-length // 4))
    return _PER_CALL + tiles(width, tile) * (
        groups * (2 * tile + 5) + channels * (5 * tile + _PER_CHANNEL) + copy
    )


def columns_instructions(vectors: int, width: int, tile: int) -> int:
    """Instructions of one output row of a channel by MVE, by columns of the window, without what all tiles take."""
    return tiles(width, tile) * ((2 * vectors + 1) * tile + 3 + vectors)
