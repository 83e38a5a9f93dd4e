"""What the face detectors share: three maps, and a head on each for boxes, classes and landmarks of its priors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.models.layers import scale_variance

#: Priors of a cell, and numbers that each of the three kinds of heads tells of a prior.
ANCHORS = 2
BOX, CLASSES, LANDMARKS = 4, 2, 10


class FaceDetector(nn.Module):
    """Heads on the maps that ``levels`` makes, which a subclass defines.

    Input (N, 3, H, W). Output ``(boxes, classes, landmarks)`` of shapes (N, P, 4), (N, P, 2) and (N, P, 10) for the P
    priors: strides 8, 16 and 32 in this order, rows, columns, then the two anchors of a cell. Classes are logits of
    (background, face); boxes and landmarks are offsets from the priors (see ``sparsenet.detection.priors``).

    Attributes:
        input_size: side in pixels of the images that it is made for.
        backbone: a classifier's layers, which it starts from.
    """

    input_size = 640
    backbone: nn.Module

    def levels(self, x: Tensor) -> Sequence[Tensor]:
        """The maps of strides 8, 16 and 32 that the heads read."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels = self.levels(x)
        return (
            _predictions(self.box_heads, levels, BOX),
            _predictions(self.class_heads, levels, CLASSES),
            _predictions(self.landmark_heads, levels, LANDMARKS),
        )

    def _add_heads(self, channels: Sequence[int], kernel_size: int) -> None:
        """Make a head of each kind for maps of these channels."""
        self.box_heads = _heads(channels, BOX, kernel_size)
        self.class_heads = _heads(channels, CLASSES, kernel_size)
        self.landmark_heads = _heads(channels, LANDMARKS, kernel_size)

    def _scale_heads(self) -> None:
        """Draw the heads' weights as ``scale_variance`` does; reads the global generator."""
        for heads in (self.box_heads, self.class_heads, self.landmark_heads):
            scale_variance(heads)


def _heads(channels: Sequence[int], values: int, kernel_size: int) -> nn.ModuleList:
    return nn.ModuleList(
        nn.Conv2d(c, ANCHORS * values, kernel_size, padding=kernel_size // 2) for c in channels
    )


def _predictions(heads: nn.ModuleList, levels: Sequence[Tensor], values: int) -> Tensor:
    """Every level's head, channels last and one row per prior: (N, P, values)."""
    rows = [
        head(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)
        for head, x in zip(heads, levels, strict=True)
    ]
    return torch.cat(rows, dim=1)
