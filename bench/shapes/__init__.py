"""Convolutions of real networks, for benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsenet import Graph, Node, TensorInfo


@dataclass(frozen=True)
class ConvShape:
    """One layer: ``name`` says the network and the place; the map is square, padding keeps its size."""

    name: str
    c_in: int
    c_out: int
    kernel: int
    size: int

    def graph(self, sparsity: float, seed: int = 0) -> Graph:
        """The layer alone, with bias and ReLU, random weights pruned at random to exactly ``sparsity``."""
        rng = np.random.default_rng(seed)
        weight = rng.standard_normal((self.c_out, self.c_in, self.kernel, self.kernel)).astype(np.float32)
        pruned = rng.permutation(weight.size)[: round(sparsity * weight.size)]
        weight.reshape(-1)[pruned] = 0
        node = Node("conv2d", "conv", ["x", "w", "b"], ["y"])
        node.attrs = {"padding": [self.kernel // 2] * 4, "epilogue": [["relu"]]}
        info = TensorInfo("x", (None, self.c_in, self.size, self.size))
        return Graph(self.name, [info], ["y"], [node], {"w": weight, "b": np.zeros(self.c_out, np.float32)})


CONVOLUTIONS = [
    ConvShape("minixception 1x1 128@128", 128, 128, 1, 128),
    ConvShape("minixception 1x1 256@64", 256, 256, 1, 64),
    ConvShape("minixception 1x1 256-1024@32", 256, 1024, 1, 32),
    ConvShape("mobilenet 1x1 64@112", 32, 64, 1, 112),
    ConvShape("mobilenet 1x1 256@28", 256, 256, 1, 28),
    ConvShape("mobilenet 1x1 512@14", 512, 512, 1, 14),
    ConvShape("mobilenet 1x1 1024@7", 1024, 1024, 1, 7),
    ConvShape("resnet 3x3 64@56", 64, 64, 3, 56),
    ConvShape("resnet 3x3 128@28", 128, 128, 3, 28),
    ConvShape("resnet 3x3 256@14", 256, 256, 3, 14),
    ConvShape("resnet 3x3 512@7", 512, 512, 3, 7),
    ConvShape("maskcnn 3x3 256-128@62", 256, 128, 3, 62),
]
