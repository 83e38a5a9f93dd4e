"""Two threads beside other load: mean time of an inference against that of one thread under the same load.

python -m bench.threads --model mobilenetv1 --sparsity 0.9 --json out.json

Means, not medians or minima: what a run loses to a thread that was stopped amid its work is what this is about.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from bench.engines.onnx_writer import write_onnx
from bench.measure.command import BenchCommand
from bench.measure.versions import versions
from bench.subjects.networks import MODELS, build_graph
from bench.subjects.sparsity import sparsify
from sparsenet import Engine, Graph, save
from sparsenet.commands.options import FiniteRange
from sparsenet.engine_options import MAX_THREADS
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray
from sparsenet.io.files import require_outputs, write_atomically
from sparsenet.text.table import render, to_json

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


#: What runs beside an engine of so many threads.
Beside = Callable[[int], AbstractContextManager[None]]


_SPIN = """
print("at work", flush=True)
while True: pass
"""
_RUN_FOR_EVER = """
import sys, numpy as np, sparsenet
engine = sparsenet.load(sys.argv[1], threads=int(sys.argv[2]))
x = np.zeros((1, *engine.inputs[0].shape[1:]), np.float32)
engine(x)
print("at work", flush=True)
while True: engine(x)
"""


@contextmanager
def processes(count: int, program: str, *arguments: object) -> Iterator[None]:
    """``count`` Python processes that are at work, and end with the block."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]  # noqa: S603
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in started:
            process.kill()
            process.communicate()


@contextmanager
def python_thread(graph: Graph, threads: int) -> Iterator[None]:
    """Another engine, run by another Python thread of this process."""
    engine, x, stop = Engine(graph, threads), example(graph), threading.Event()

    def run() -> None:
        while not stop.is_set():
            engine(x)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        engine.close()


def busy(count: int) -> Beside:
    """So many processes that only count."""
    return lambda _threads: processes(count, _SPIN)


def example(graph: Graph) -> FloatArray:
    """One image of noise."""
    shape = [1, *(int(d or 0) for d in graph.inputs[0].shape[1:])]
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def spinning_pool(graph: Graph, folder: Path) -> Callable[[], object]:
    """A run of ONNX Runtime on all CPUs as it comes: its threads go on looking for work for a while afterwards."""
    import onnxruntime

    path = folder / "model.onnx"
    write_onnx(graph, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: example(graph)}
    return lambda: session.run(None, feeds)


def times(engine: Engine, x: FloatArray, seconds: float, before_each: Callable[[], object]) -> list[float]:
    """Milliseconds of each inference."""
    engine(x)
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        before_each()
        start = time.perf_counter()
        engine(x)
        found.append((time.perf_counter() - start) * 1e3)
    return found


def measure(
    graph: Graph, threads: int, load: str, beside: Beside, seconds: float, before_each: Callable[[], object]
) -> Row:
    """Both numbers of threads in turn, ``seconds`` each in all, under one load."""
    x, found = example(graph), {1: list[float](), threads: list[float]()}
    engines = {count: Engine(graph, count) for count in found}
    for _ in range(TURNS):
        for count, engine in engines.items():
            with beside(count):
                found[count] += times(engine, x, seconds / TURNS, before_each)
    for engine in engines.values():
        engine.close()
    one, more = (float(np.mean(found[count])) for count in (1, threads))
    return Row(load, one, more, more / one, threads, float(np.median(found[threads])))


def loads(graph: Graph, folder: Path) -> dict[str, tuple[Beside, Callable[[], object]]]:
    """Name → what runs beside, and what is done before each inference."""

    def nothing() -> None:
        pass

    model = folder / "model.safetensors"
    save(graph, model)

    found: dict[str, tuple[Beside, Callable[[], object]]] = {
        "nothing": (busy(0), nothing),
        **{f"{count} busy": (busy(count), nothing) for count in (1, 2, 4)},
        "engine in a process": (lambda count: processes(1, _RUN_FOR_EVER, model, count), nothing),
        "engine in a thread": (lambda count: python_thread(graph, count), nothing),
    }
    try:
        found["spinning pool"] = (busy(0), spinning_pool(graph, folder))
    except ImportError:
        click.echo("onnxruntime is not installed: no spinning pool", err=True)
    return found


@click.command(
    cls=BenchCommand, epilog="Example: python -m bench.threads --model minixception-128-256 --seconds 4"
)
@click.option("--model", type=click.Choice(list(MODELS)), default="mobilenetv1", show_default=True)
@click.option("--sparsity", type=FiniteRange(0, 1, max_open=True), default=0.9, show_default=True)
@click.option("--threads", type=click.IntRange(2, MAX_THREADS), default=2, show_default=True)
@click.option("--seconds", type=FiniteRange(0.1), default=4.0, show_default=True, help="For each mean.")
@click.option("--load", "chosen", multiple=True, help="Only loads whose names begin so.")
@click.option(
    "--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Keep the figures here."
)
def main(
    model: str, sparsity: float, threads: int, seconds: float, chosen: tuple[str, ...], path: Path | None
) -> None:
    """Mean milliseconds with one thread and with several, beside other load."""
    import tempfile

    require_outputs([path])
    graph = sparsify(build_graph(model), sparsity)
    with tempfile.TemporaryDirectory() as folder:
        found = loads(graph, Path(folder))
        names = [name for name in found if name.startswith(chosen or "")]
        if not names:
            raise InputError(f"no load begins with {' or '.join(chosen)}; there are {', '.join(found)}")
        rows = [measure(graph, threads, name, found[name][0], seconds, found[name][1]) for name in names]
    columns = ["beside", "1 thread ms", f"{threads} threads ms", "ratio", "median ms"]
    click.echo(render(columns, [(r.load, r.one, r.more, r.ratio, r.median) for r in rows]))
    click.echo(f"\n{model} at {sparsity:.0%} zeros, means over {seconds} s; {os.cpu_count()} CPUs")
    if path is not None:
        record = {
            "model": model,
            "sparsity": sparsity,
            "versions": versions(),
            "rows": list(map(asdict, rows)),
        }
        write_atomically(path, to_json(record).encode())


if __name__ == "__main__":
    main()
