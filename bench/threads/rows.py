"""An inference on one thread and on several, in turn, under each load."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from bench.measure.output import bar
from bench.subjects.inputs import example
from bench.threads.loads import Load, load_named
from sparsenet import Engine, Graph
from sparsenet.graph import FloatArray
from sparsenet.timing import WALL, stopwatch

#: Turns of the two numbers of threads under each load, one after the other.
TURNS = 2


@dataclass(frozen=True)
class Row:
    """One load.

    Attributes:
        load: what ran beside.
        one, more: mean milliseconds of an inference with one thread and with ``threads``.
        ratio: more / one.
        threads: how many.
        median: of the time with ``threads``, for the difference to the mean.
    """

    load: str
    one: float
    more: float
    ratio: float
    threads: int
    median: float


def beside_loads(graph: Graph, threads: int, names: Sequence[str], seconds: float) -> list[Row]:
    """A row for each load, both numbers of threads ``seconds`` each in all; a load that cannot be is left out."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, bar(len(names), "load") as progress:
        for name in names:
            progress.set_description(name)
            try:
                load = load_named(name, graph, Path(folder))
            except ImportError:
                click.echo(f"onnxruntime is not installed: no {name}", err=True)
            else:
                rows.append(_row(graph, threads, name, load, seconds))
            progress.update()
    return rows


def _row(graph: Graph, threads: int, name: str, load: Load, seconds: float) -> Row:
    x, found = example(graph.inputs), {1: list[float](), threads: list[float]()}
    engines = {count: Engine(graph, count) for count in found}
    for _ in range(TURNS):
        for count, engine in engines.items():
            with load.beside(count):
                found[count] += times(engine, x, seconds / TURNS, load)
    for engine in engines.values():
        engine.close()
    one, more = (float(np.mean(found[count])) for count in (1, threads))
    return Row(name, one, more, more / one, threads, float(np.median(found[threads])))


def times(engine: Engine, x: FloatArray, seconds: float, load: Load) -> list[float]:
    """Milliseconds of each inference, disturbed ones too: one at least."""
    engine(x)
    found, passed = list[float](), stopwatch()
    while not found or passed() < seconds:
        load.before_each()
        found.append(WALL.turn(lambda: engine(x), warm=0).wall * 1e3)
    return found
