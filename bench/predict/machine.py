"""The machine's table: kernels alone, and layers within whole networks; measured once, kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from bench.kernels import worker
from bench.predict.check import engine_ms
from bench.predict.estimate import Estimator, Sample, samples_alone
from bench.predict.work import LayerWork, planned_work
from bench.subjects.inputs import example
from bench.subjects.sparsity import sparsify
from sparsenet import Engine, Graph
from sparsenet.errors import SparsenetError
from sparsenet.graph import FloatArray
from sparsenet.io import strict_json
from sparsenet.io.cache import keep, kept
from sparsenet.targets.cpu.runtime.jit import fingerprint
from sparsenet.targets.host import host
from sparsenet.text.table import to_json

#: Networks and sparsities whose layers are timed; no others are needed to predict theirs.
CALIBRATION = (
    "minixception-128-256", "minixception-128", "mobilenetv1", "resnet50", "retinaface-mobilenet0.25"
)  # fmt: skip
AT = (0.0, 0.5, 0.8, 0.9, 0.95)
RUNS = 40
#: Neighbours only ever add time: this share of the runs is believed to be free of them.
UNDISTURBED = 0.15


def table_name() -> tuple[str, str]:
    """Under what this machine's table is kept in the cache: by CPU, compiler and kernel sources."""
    return "predict", f"{fingerprint()}-{host().vector().lanes}.json"


def load() -> Estimator:
    """The estimator of this machine.

    Raises:
        SparsenetError: nothing was measured with these kernels yet.
    """
    try:
        known = strict_json.parse(kept(*table_name()) or b"")
        return Estimator([Sample(**{**one, "work": LayerWork(**one["work"])}) for one in known["samples"]])
    except (ValueError, KeyError, TypeError) as error:
        raise SparsenetError(
            "nothing was measured on this machine with these kernels: run `sparsenet predict MODEL --measure` once "
            "(a minute or two)"
        ) from error


def measure(build: Callable[[str], Graph], progress: Callable[[str], object] = lambda _: None) -> Estimator:
    """Time every kernel family alone, then the layers of whole networks; keep and return the estimator.

    Args:
        build: network by name.
        progress: called with what is measured next.
    """
    rates = worker.run(worker.Request(host().vector().lanes, False, (), 9, 1e-4, False), progress)
    samples = samples_alone(rates) + samples_in_networks([build(name) for name in CALIBRATION], progress)
    keep(*table_name(), to_json({"samples": [asdict(sample) for sample in samples]}).encode())
    return Estimator(samples)


def samples_in_networks(
    graphs: list[Graph], progress: Callable[[str], object] = lambda _: None
) -> list[Sample]:
    """Layers of networks at ``AT``, and what they take there: their shares of what the whole network takes."""
    samples = []
    for graph in graphs:
        for sparsity in AT:
            progress(f"{graph.name} at {sparsity:.0%}")
            pruned = sparsify(graph, sparsity)
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
