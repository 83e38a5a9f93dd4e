"""MaskCNN: the fully convolutional mask classifier behind tables 1 and 2 of the inference-acceleration paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskCNN(nn.Module):
    """Three convolutions, each followed by ReLU and *then* BatchNorm, and one 31×31 convolution as the head.

    Input (N, 3, 124, 124), output logits (N, num_classes). 512,194 parameters for two classes.
    """

    input_size = 124
    #: The head fits one size; on larger images it would answer at several places, which a loss would take for classes.
    only_input_size = input_size

    def __init__(self, num_classes: int = 2, dropout: float = 0.2) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 256, 5, padding=2),
            nn.ReLU(),
            nn.BatchNorm2d(256),
            nn.Dropout2d(dropout),
            nn.MaxPool2d(2),
            nn.Conv2d(256, 128, 3, padding=1),
            nn.ReLU(),
            nn.BatchNorm2d(128),
            nn.Dropout2d(dropout),
            nn.Conv2d(128, 64, 3, padding=1),
            nn.ReLU(),
            nn.BatchNorm2d(64),
            nn.Dropout2d(dropout),
            nn.MaxPool2d(2),
        )
        self.head = nn.Conv2d(64, num_classes, 31)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.head(self.features(x)), 1)
