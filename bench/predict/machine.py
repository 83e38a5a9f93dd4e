"""The machine's table: kernels alone, and factors from whole networks; measured once, kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.kernels import worker
from bench.kernels.measure import Rate
from bench.predict.estimate import Estimator, kind
from bench.predict.work import layer_work
from bench.sparsity import sparsify
from sparsenet import Engine, Graph
from sparsenet.commands.inputs import random_inputs
from sparsenet.commands.table import to_json
from sparsenet.errors import SparsenetError
from sparsenet.files import write_atomically
from sparsenet.graph import FloatArray
from sparsenet.kernels.jit import cache_directory, fingerprint, max_lanes

#: Networks and sparsities that the factors are taken from; no others are needed to predict theirs.
CALIBRATION = ("minixception-128-256", "mobilenetv1")
AT = (0.0, 0.8, 0.95)
RUNS = 40
#: Neighbours only ever add time: this share of the runs is believed to be free of them.
UNDISTURBED = 0.15


def table_path() -> Path:
    """Where this machine's table is kept: by CPU, compiler and kernel sources."""
    return cache_directory() / "predict" / f"{fingerprint()}-{max_lanes()}.json"


def load() -> Estimator:
    """The estimator of this machine.

    Raises:
        SparsenetError: nothing was measured with these kernels yet.
    """
    try:
        kept = json.loads(table_path().read_text())
        return Estimator([Rate(**rate) for rate in kept["rates"]], dict(kept["factors"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SparsenetError(
            "nothing was measured on this machine with these kernels: run `sparsenet predict MODEL --measure` once "
            "(some minutes)"
        ) from error


def measure(build: Callable[[str], Graph], progress: Callable[[str], object] = lambda _: None) -> Estimator:
    """Time every kernel family alone, then the layers of whole networks; keep and return the estimator.

    Args:
        build: network by name.
        progress: called with what is measured next.
    """
    rates = worker.run(worker.Settings(max_lanes(), False, (), 9, 1e-4, False), progress)
    estimator = Estimator(rates)
    estimator.factors = factors(estimator, [build(name) for name in CALIBRATION], progress)
    path = table_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"rates": [asdict(rate) for rate in rates], "factors": estimator.factors}
    write_atomically(path, to_json(record).encode())
    return estimator


def factors(
    estimator: Estimator, graphs: list[Graph], progress: Callable[[str], object] = lambda _: None
) -> dict[str, float]:
    """Kind of layer → its time within networks ÷ what ``estimator`` makes of the kernels alone."""
    measured: dict[str, float] = {}
    estimated: dict[str, float] = {}
    for graph in graphs:
        for sparsity in AT:
            progress(f"{graph.name} at {sparsity:.0%}")
            pruned = sparsify(graph, sparsity)
            engine = Engine(pruned, 1)
            x = random_inputs(engine.inputs, 1, 0)[engine.inputs[0].name]
            times = _layer_ms(engine, x)
            engine.close()
            for work in layer_work(pruned, None):
                if work.layer in times:
                    guess = estimator.estimate(work)
                    name = kind(guess.family)
                    measured[name] = measured.get(name, 0.0) + times[work.layer]
                    estimated[name] = estimated.get(name, 0.0) + guess.ms
    return {name: measured[name] / estimated[name] for name in measured}


def _layer_ms(engine: Engine, x: FloatArray) -> dict[str, float]:
    """Milliseconds of each layer: of every step what it takes in the runs that nobody disturbed."""
    cycles, seconds = engine.step_cycles(x, runs=RUNS)
    per_cycle = sum(seconds) / sum(
        int(run.sum()) for run in cycles
    )  # the counter runs at one pace, waiting included
    times: dict[str, float] = {}
    for layer, step in zip(
        engine.plan.layers[0], np.quantile(np.stack(cycles), UNDISTURBED, axis=0), strict=True
    ):
        times[layer] = times.get(layer, 0.0) + float(step) * per_cycle * 1e3
    return times
