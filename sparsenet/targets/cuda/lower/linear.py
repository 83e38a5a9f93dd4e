"""Fully connected layers: 1x1 convolutions whose pixels are the images of the batch."""

from __future__ import annotations

from sparsenet.targets.cuda.lower.conv2d import lower_conv2d

LOWER = {"linear": lower_conv2d}
