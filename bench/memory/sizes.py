"""What a network takes in bytes, in float32 and in int8: by its plan, without running it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.subjects.networks import build_graph
from bench.subjects.sparsity import sparsify
from converters import quantize
from converters.quantization.order import ordered_for_quads
from sparsenet.graph.feeds import random_inputs
from sparsenet.io.model_file import save
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan


@dataclass(frozen=True)
class Sizes:
    """Bytes of one network.

    Attributes:
        model, sparsity, block: which network, and its zeros.
        numbers: "float32" or "int8".
        file_bytes: its model file, in which weights are as exact as they are computed with.
        weight_bytes: weights, biases and tables as they are packed for the kernels of this machine.
        working_bytes: of one run on one thread, beside weights, inputs and outputs.
    """

    model: str
    sparsity: float
    block: str
    numbers: str
    file_bytes: int
    weight_bytes: int
    working_bytes: int


def sizes(model: str, sparsity: float, block: str, size: int | None, folder: Path) -> list[Sizes]:
    """Bytes in float32 and in int8; files are written to ``folder``."""
    graph = sparsify(build_graph(model, size=size), sparsity, block)
    quantized, _ = ordered_for_quads(
        quantize(graph, random_inputs(graph.inputs, 1, 0), bias_correction=False)
    )
    found = []
    for numbers, one in (("float32", graph), ("int8", quantized)):
        file = folder / f"{numbers}.safetensors"
        save(one, file)
        plan = make_plan(one, Options())
        found.append(
            Sizes(
                model, sparsity, block, numbers, file.stat().st_size, plan.weights.nbytes, plan.working_bytes
            )
        )
    return found
