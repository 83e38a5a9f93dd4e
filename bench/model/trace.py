"""One inference as a Chrome trace, for chrome://tracing or Perfetto."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import Any

from sparsenet import Engine
from sparsenet.graph import FloatArray

#: Rows of the trace: the start, then the first thread's layers.
START_ROW, LAYER_ROW = 0, 1


def trace_events(
    engine: Engine, x: FloatArray, process: int, title: str, runs: int = 3
) -> list[dict[str, Any]]:
    """Events of the start (import, load, plan, compile, first) and of the layers of ``runs`` inferences of one image.

    Layers are those of the first thread; consecutive calls for one layer are one event. Times are microseconds.

    Args:
        process: number under which the trace shows this engine.
        title: its name.
    """
    events = [_name("process_name", process, 0, title), _name("thread_name", process, START_ROW, "start")]
    events.append(_name("thread_name", process, LAYER_ROW, "first thread"))
    now = 0.0
    for phase, seconds in asdict(engine.timings).items():
        if seconds:
            events.append(_event(phase, "start", process, START_ROW, now, seconds * 1e6, {}))
            now += seconds * 1e6
    choices = {decision.layer: decision for decision in engine.explain()}
    times = engine.step_cycles(x, runs=runs)
    for run, (cycles, seconds) in enumerate(zip(times.steps, times.seconds, strict=True)):
        scale = seconds * 1e6 / cycles.sum()
        events.append(_event(f"inference {run + 1}", "inference", process, START_ROW, now, seconds * 1e6, {}))
        steps = zip(engine.plan.timeline, cycles, strict=True)
        for (layer, kernel), group in groupby(steps, key=lambda step: step[0]):
            calls = [float(step[1]) for step in group]
            choice = choices.get(layer)
            details: dict[str, Any] = {"kernel": kernel.name if kernel else "", "calls": len(calls)}
            if choice is not None:
                details |= {
                    "op": choice.op,
                    "format": choice.format,
                    "nnz": choice.nnz,
                    "reason": choice.reason,
                }
            events.append(_event(layer, "layer", process, LAYER_ROW, now, sum(calls) * scale, details))
            now += sum(calls) * scale
    return events


def _event(
    name: str, category: str, process: int, row: int, start: float, duration: float, details: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name, "cat": category, "ph": "X", "pid": process, "tid": row, "ts": start, "dur": duration,
        "args": details,
    }  # fmt: skip


def _name(kind: str, process: int, row: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": process, "tid": row, "args": {"name": name}}
