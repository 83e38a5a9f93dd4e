"""The machine's table: kernels alone, and layers within whole networks; measured once, kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from bench.kernels import worker
from bench.predict.alone import samples_alone
from bench.predict.check import engine_ms
from bench.predict.work import with_zeros
from bench.subjects.inputs import example
from bench.subjects.integers import in_integers
from sparsenet import Engine, Graph
from sparsenet.graph import FloatArray
from sparsenet.latency.estimate import Estimator, Sample
from sparsenet.latency.table import keep
from sparsenet.latency.work import planned_work
from sparsenet.targets.host import host

#: Networks whose layers are timed; no others are needed to predict theirs.
CALIBRATION = (
    "minixception-128-256", "minixception-128", "mobilenetv1", "resnet50", "retinaface-mobilenet0.25"
)  # fmt: skip
#: Zeros at which that is done, and their blocks, which change little in float32.
AT = tuple((sparsity, "1x1") for sparsity in (0.0, 0.5, 0.8, 0.9, 0.95))
AT_IN_INTEGERS = ((0.0, "1x1"), (0.8, "1x1"), (0.9, "1x1"), (0.8, "1x4"), (0.95, "1x4"))
STEPS = len(CALIBRATION) * (len(AT) + len(AT_IN_INTEGERS))
RUNS = 40
#: Neighbours only ever add time: this share of the runs is believed to be free of them.
UNDISTURBED = 0.15


def measure(build: Callable[[str], Graph], progress: Callable[[str], object] = lambda _: None) -> Estimator:
    """Time every kernel family of float32 alone, then the layers of whole networks; keep and return the estimator.

    Args:
        build: network by name.
        progress: called with what is measured next.
    """
    rates = worker.run(worker.Request(host().vector().lanes, False, (), 9, 1e-4, False), progress)
    networks = (
        graph for name in CALIBRATION for whole in [build(name)] for graph in (whole, in_integers(whole))
    )
    samples = samples_alone(rates) + samples_in_networks(networks, progress)
    return keep(samples)


def samples_in_networks(
    graphs: Iterable[Graph], progress: Callable[[str], object] = lambda _: None
) -> list[Sample]:
    """Layers of networks at ``AT``, and what they take there: their shares of what the whole network takes."""
    samples = []
    for graph in graphs:
        for sparsity, block in AT_IN_INTEGERS if graph.quantization else AT:
            form = f" in blocks of {block}, int8" if graph.quantization else ""
            progress(f"{graph.name} at {sparsity:.0%}{form}")
            pruned = with_zeros(graph, sparsity, block)
            engine = Engine(pruned, 1)
            x = example(engine.inputs)
            whole, times = engine_ms(engine, x), layer_ms(engine, x)
            works = planned_work(pruned, engine.plan)
            engine.close()
            share = whole / sum(times.values())
            samples += [
                Sample(work, share * times[work.layer], in_network=True)
                for work in works
                if times.get(work.layer)
            ]
    return samples


def layer_ms(engine: Engine, x: FloatArray) -> dict[str, float]:
    """Milliseconds of each layer: of every step what it takes in the runs that nobody disturbed."""
    taken = engine.step_cycles(x, runs=RUNS)
    # The counter runs at one pace, waiting included.
    per_cycle = taken.seconds.sum() / taken.steps.sum()
    times: dict[str, float] = {}
    steps = np.quantile(taken.steps, UNDISTURBED, axis=0)
    for layer, step in zip(engine.plan.layers[0], steps, strict=True):
        times[layer] = times.get(layer, 0.0) + float(step) * per_cycle * 1e3
    return times
