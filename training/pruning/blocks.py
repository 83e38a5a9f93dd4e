"""Blocks: so many consecutive input channels of one output channel and one kernel tap, kept or pruned together.

The vector of one dimension of Mao et al. 2017, Exploring the Granularity of Sparsity in Convolutional Neural Networks,
laid along the input channels; the 1×N pattern of Lin et al. 2021 lays it along the output channels. Integer kernels
multiply four input channels at once, so that (1, 4) leaves them nothing to multiply where a block is zero.

Blocks begin at the first input channel of a group, and the last one of a row is as short as what is left: 3 input
channels are one block for each tap, 6 are one of four and one of two, and the only channel of a depthwise group is a
block of its own, so that depthwise convolutions are pruned weight by weight. For Linear a block is consecutive inputs
of one output.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Size, Tensor


def to_blocks(tensor: Tensor, length: int) -> Tensor:
    """A weight (C_out, C_in / groups, …) as (blocks, length), by output, block and tap; short blocks end in zeros."""
    padded = F.pad(tensor.reshape(_sides(tensor.shape)), (0, 0, 0, -tensor.shape[1:2].numel() % length))
    return padded.unflatten(1, (-1, length)).transpose(2, 3).reshape(-1, length)


def from_blocks(rows: Tensor, shape: Size) -> Tensor:
    """The weight of ``shape`` that ``to_blocks`` has made ``rows``, (blocks, length), of."""
    c_out, c_in, taps = _sides(shape)
    padded = rows.reshape(c_out, -1, taps, rows.shape[1]).transpose(2, 3).reshape(c_out, -1, taps)
    return padded[:, :c_in].reshape(shape)


def block_sizes(shape: Size, length: int) -> int | Tensor:
    """Weights of each block of a weight, int64 (blocks,); the number 1 if every block is a single weight."""
    whole = torch.ones(shape, dtype=torch.bool)
    return 1 if min(length, shape[1:2].numel()) == 1 else to_blocks(whole, length).sum(dim=1)


def _sides(shape: Size) -> tuple[int, int, int]:
    """Output channels, input channels of a group, and taps."""
    return shape[:1].numel(), shape[1:2].numel(), shape[2:].numel()
