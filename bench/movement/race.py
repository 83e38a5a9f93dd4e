"""One layer in our engine and in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.engines.ort import open_session
from bench.measure.agreement import check_outputs
from bench.measure.samples import repeated
from bench.movement.cases import Case
from converters import from_onnx
from sparsenet import Engine
from sparsenet.timing import THREAD, interleaved

#: A sample takes this long at least.
LEAST_SECONDS = 0.002


@dataclass(frozen=True)
class Pair:
    """One layer, one thread; median milliseconds of processor time, and ours ÷ ONNX Runtime's."""

    layer: str
    ours_ms: float
    ort_ms: float
    ratio: float


def race(case: Case, rounds: int) -> Pair:
    """Both engines' time of one call.

    Raises:
        SparsenetError: they do not agree.
    """
    model = case.model()
    x = np.random.default_rng(0).standard_normal(case.shape, np.float32)
    session, engine = open_session(model.SerializeToString(), 1), Engine(from_onnx(model), threads=1)
    calls: dict[str, Callable[[], object]] = {
        "ours": partial(engine, x), "ort": partial(session.run, None, {"x": x})
    }  # fmt: skip
    check_outputs({"ort": session.run(None, {"x": x}), "ours": [np.asarray(engine(x))]}, case.name)
    counts = {name: max(1, round(LEAST_SECONDS / THREAD.turn(call).seconds)) for name, call in calls.items()}
    taken = interleaved({name: repeated(call, counts[name]) for name, call in calls.items()}, rounds)
    ours, ort = (
        1e3 * float(np.median(seconds)) / counts[name]
        for name, seconds in zip(calls, taken.seconds(*calls), strict=True)
    )
    engine.close()
    return Pair(case.name, ours, ort, ours / ort)
