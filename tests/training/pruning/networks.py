"""Small networks for the pruning tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def small_net(seed: int = 0) -> nn.Sequential:
    """Convolutions (plain, depthwise, grouped), BatchNorm and a linear head; input (N, 3, 8, 8), 4 classes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 12, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 4),
    )


def batch(seed: int = 0, n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, 8, 8, generator=generator)
    return x, torch.randint(0, 4, (n,), generator=generator)


def take_steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    first: int,
    last: int,
    after_step=lambda step, model: None,
) -> None:
    """Optimizer steps first..last; the data of a step depends on its number only."""
    for step in range(first, last + 1):
        x, y = batch(seed=step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        after_step(step, model)


class Wired(nn.Module):
    """Convolutions and BatchNorms, put together by a function."""

    def __init__(self, wire: Callable[[Wired, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.bn, self.bn2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.wire = wire

    def forward(self, x: Tensor) -> Tensor:
        return self.wire(self, x)


def smooth_net(seed: int = 0, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    """A small network in float64, for finite differences; input (N, 3, 5, 5), 4 classes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        activation(),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        activation(),
        nn.Flatten(),
        nn.Linear(36, 4),
    ).double()
