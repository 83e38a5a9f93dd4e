"""What sparsity costs and what it buys: the distilled student pruned in one shot, from not at all to 95 %."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from sparsenet.engine import Engine
from sparsenet.graph import FloatArray
from training.data.images import LabeledImages
from training.demo.model_files import run
from training.demo.speed import time_network
from training.demo.stages import Trained, raised_sparsity, spared_layers
from training.evaluate import metrics
from training.pruning import find_masks
from training.pruning.block_shape import Block
from training.report.model import AccuracyPoint, LatencyPoint
from training.traces import Traces


def sparsity_curves(
    student: Trained,
    traces: Traces,
    sparsities: Iterable[float],
    test: LabeledImages,
    image: FloatArray,
    *,
    layout: str,
    threads: int,
    seconds: float = 1.0,
    block: Block | None = None,
) -> tuple[list[AccuracyPoint], list[LatencyPoint]]:
    """Quality and latency of a network at each sparsity: L1, an equal share of all but spared layers, not retrained.

    Args:
        student: the network.
        traces: for its graphs.
        test: images the engine is judged on.
        image: the input that is timed, (1, 3, H, W) of the network's input size.
        layout: PyTorch's memory layout.
        threads: of every engine while timed.
        seconds: about how long to time each sparsity.
        block: what is pruned together, if not single weights.
    """
    accuracies, latencies = [], []
    for sparsity in sparsities:
        pruned = copy.deepcopy(student.model)
        if sparsity > 0:
            spared = spared_layers(pruned)
            share = raised_sparsity(pruned, sparsity, spared)
            masks = find_masks(
                pruned, "l1", sparsity=share, scope="layer", exclude=spared or None, block=block
            )
            masks.apply(pruned)
        graph = traces.graph(pruned, student.info)
        answers = run(Engine(graph), test, student.info.input_size)
        found = metrics(test.labels, answers.argmax(1), test.class_names)
        accuracies.append(AccuracyPoint(sparsity, found.accuracy, found.macro_f1))
        timing = time_network(
            f"student at {sparsity:.0%} zeros",
            pruned,
            graph,
            image,
            layouts=[layout],
            threads=threads,
            seconds=seconds,
        )
        latencies.append(LatencyPoint(sparsity, timing.latencies, timing.speedups))
    return accuracies, latencies
