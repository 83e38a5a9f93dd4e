"""What the papers never measured: milliseconds, dense and sparse, side by side and with nothing else running."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import sparsenet
from sparsenet.engine import Engine
from sparsenet.errors import SparsenetError
from sparsenet.graph import FloatArray
from sparsenet.timing import Rounds, clock_for, rounds_for, spread, take_rounds, turns_of
from training.demo.environment import environment
from training.reproduce.results import Result, write_result
from training.reproduce.settings import Settings

FEWEST_ROUNDS, MOST_ROUNDS = 9, 101
#: Dense and sparse kernels must agree to this share of the largest output before their times mean anything.
TOLERANCE = 1e-4


def measure(settings: Settings, baseline: Path, files: list[Path], out: Path) -> None:
    """Cell: time every model file on one image, three calls in turn in every round.

    The calls are the network with sparse kernels ("sparse"), the same without ("dense"), and ``baseline``, the network
    that nothing was pruned from, with dense kernels ("whole"). Ratios are medians of the ratios of equal rounds, null
    where the machine was too noisy to tell.

    Raises:
        SparsenetError: dense and sparse kernels disagree on a file.
    """
    networks = {}
    for file in files:
        networks[file.stem] = time_file(file, baseline, settings.threads, settings.seconds)
    write_result(out, {"threads": settings.threads, "environment": environment(), "networks": networks})


def time_file(file: Path, baseline: Path, threads: int, seconds: float) -> Result:
    """Milliseconds of one file, and how many times as fast as the others its sparse kernels are."""
    engines = {
        "whole": sparsenet.load(baseline, threads, sparse=False),
        "dense": sparsenet.load(file, threads, sparse=False),
        "sparse": sparsenet.load(file, threads),
    }
    shape = [1, *(int(side or 1) for side in engines["sparse"].inputs[0].shape[1:])]
    image = np.random.default_rng(0).standard_normal(shape, np.float32)
    _compare(file, _outputs(engines["sparse"], image), _outputs(engines["dense"], image))
    calls = {name: _call(engine, image) for name, engine in engines.items()}
    clock = clock_for(engines["sparse"].threads)
    turns = turns_of(calls, clock)
    taken = take_rounds(turns, rounds_for(turns, seconds, FEWEST_ROUNDS, MOST_ROUNDS), clock)
    counted = int(taken.clean(*calls).sum())
    rounds = len(taken.samples["sparse"])
    found: Result = {"clock": clock.counts, "rounds": counted, "dropped": rounds - counted}
    for name in calls:
        found[f"{name}_ms"] = spread(taken.seconds(name)[0] * 1e3).median
    for name in ("whole", "dense"):
        found[f"against_{name}"] = _ratio(taken, name)
    return found


def _ratio(taken: Rounds, slow: str) -> list[float | None]:
    """Median and the ends of its 95 % interval."""
    ratio = taken.ratio(slow, "sparse")
    return [ratio.told, *(ratio.interval or (None, None))]


def _outputs(engine: Engine, image: FloatArray) -> list[FloatArray]:
    found = engine(image)
    return list(found) if isinstance(found, tuple) else [found]


def _compare(file: Path, sparse: list[FloatArray], dense: list[FloatArray]) -> None:
    for got, expected in zip(sparse, dense, strict=True):
        difference = float(np.abs(got - expected).max() / max(float(np.abs(expected).max()), 1e-30))
        if not difference <= TOLERANCE:
            raise SparsenetError(
                f"{file}: dense and sparse kernels differ by {difference:.1e}: no time is meaningful"
            )


def _call(engine: Engine, image: FloatArray) -> Callable[[], object]:
    return lambda: engine(image)
