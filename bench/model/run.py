"""All that ``sparsenet bench`` was asked for, one setting after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench.engines import label_of
from bench.measure.contest import Contest, Settings
from bench.model.layers import Layer, layers_of
from bench.model.results import Result, measure
from bench.model.trace import trace_events
from sparsenet import Graph
from sparsenet.text.quantities import threads_text


@dataclass
class Report:
    """What a run has brought so far; ``events`` are those of the trace."""

    results: list[Result] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def run(
    graph: Graph,
    todo: Sequence[tuple[float | None, Settings]],
    show_layers: bool,
    traced: bool,
    quiet: bool,
    block: str = "1x1",
    file: Path | None = None,
) -> Report:
    """Time ``graph`` at every sparsity and setting of ``todo``, under a progress bar on terminals unless ``quiet``."""
    report = Report()
    form = "{desc} {percentage:3.0f}% {bar}"
    with tqdm(total=1000 * len(todo), disable=quiet or None, file=sys.stderr, bar_format=form) as bar:
        for number, (sparsity, settings) in enumerate(todo):
            at = "" if sparsity is None else f" at {sparsity:.0%}"
            bar.set_description(f"{graph.name}{at}, {threads_text(settings.threads)}, batch {settings.batch}")

            def inspect(contest: Contest, sparsity: float | None = sparsity) -> None:
                if show_layers:
                    report.layers += layers_of(contest, sparsity)
                if traced:
                    report.events += _events(contest, sparsity, len(report.events))

            def progress(done: int, rounds: int, number: int = number) -> None:
                bar.update(1000 * number + 1000 * done // rounds - bar.n)

            report.results += measure(
                graph, sparsity, settings, report.skipped, inspect, progress, block, file
            )
    return report


def _events(contest: Contest, sparsity: float | None, first: int) -> list[dict[str, Any]]:
    events = []
    at = "" if sparsity is None else f" at {sparsity:.0%}"
    for number, (name, session) in enumerate(contest.sessions.items()):
        if session.engine is not None:
            title = f"{label_of(name)}{at}, {threads_text(session.engine.threads)}"
            events += trace_events(session.engine, contest.x, first + number, title)
    return events
