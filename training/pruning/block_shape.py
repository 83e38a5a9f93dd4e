"""The shape of a block, (1, input channels), and how the command line writes it; what blocks are tells ``blocks``."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.checks import items, whole_number
from sparsenet.errors import MaskError

#: (output channels, input channels) of a block.
Block = tuple[int, int]


def block_length(block: Sequence[object] | None) -> int:
    """Weights of a whole block, 1 without one; MaskError unless ``block`` is None or (1, a whole number)."""
    if block is None:
        return 1
    sides = items(block, "block", MaskError)
    if len(sides) != 2 or sides[0] != 1:
        raise MaskError(f"block must be (1, input channels), for example (1, 4); got {block!r:.40}")
    return whole_number(sides[1], "the input channels of a block", error=MaskError)


def block_text(block: Sequence[int]) -> str:
    """``(1, 4)`` as the command line writes it: ``1x4``."""
    return "x".join(map(str, block))


def parse_block(text: str) -> Block:
    """``1x4`` as ``(1, 4)``; MaskError if it is no block."""
    block: list[object] = [int(side) if side.isdecimal() else side for side in text.split("x")]
    return 1, block_length(block)
