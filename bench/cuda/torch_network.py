"""A graph in PyTorch on a GPU: eager, or recorded as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.engines.pytorch import Step, last_reads
from sparsenet import Graph
from sparsenet.graph import FloatArray


def network(graph: Graph, x: FloatArray, channels_last: bool) -> Callable[[], list[Tensor]]:
    """``run()`` over an input that is on the GPU already; its outputs stay there."""

    def placed(array: FloatArray) -> Tensor:
        tensor = torch.from_numpy(array).cuda()
        return (
            tensor.contiguous(memory_format=torch.channels_last)
            if channels_last and array.ndim == 4
            else tensor
        )

    constants = {name: placed(array) for name, array in graph.constants.items()}
    given = placed(x)
    steps = [Step(node) for node in graph.nodes]
    unread = last_reads(graph.nodes, graph.outputs)

    @torch.inference_mode()
    def run() -> list[Tensor]:
        values = {**constants, graph.inputs[0].name: given}
        for step, done in zip(steps, unread, strict=True):
            values[step.output] = step(values)
            for name in done:
                values.pop(name, None)
        return [values[name] for name in graph.outputs]

    return run
