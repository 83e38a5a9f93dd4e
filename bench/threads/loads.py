"""What runs beside an engine whose threads are on trial."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.engines.onnx_writer import write_onnx
from bench.measure.load import AT_WORK, SPIN, processes
from bench.subjects.inputs import example
from sparsenet import Engine, Graph, save

_RUN_FOR_EVER = f"""
import sys, numpy as np, sparsenet
engine = sparsenet.load(sys.argv[1], threads=int(sys.argv[2]))
x = np.zeros((1, *engine.inputs[0].shape[1:]), np.float32)
engine(x)
{AT_WORK}
while True: engine(x)
"""


def nothing() -> None:
    """Done before an inference where nothing is to be done."""


@dataclass(frozen=True)
class Load:
    """Other work.

    Attributes:
        beside: what runs meanwhile, beside an engine of so many threads.
        before_each: what is done before each inference.
    """

    beside: Callable[[int], AbstractContextManager[None]]
    before_each: Callable[[], object] = nothing


def load_named(name: str, graph: Graph, folder: Path) -> Load:
    """The load of this name; files it needs go into ``folder``.

    Raises:
        ImportError: onnxruntime is not installed, for the spinning pool.
    """
    if name == "nothing":
        return busy(0)
    if name.endswith(" busy"):
        return busy(int(name.removesuffix(" busy")))
    if name == "engine in a thread":
        return Load(lambda threads: python_thread(graph, threads))
    if name == "spinning pool":
        return Load(busy(0).beside, spinning_pool(graph, folder))
    model = folder / "model.safetensors"
    save(graph, model)
    return Load(lambda threads: processes(1, _RUN_FOR_EVER, model, threads))


def busy(count: int) -> Load:
    """So many processes that only count."""
    return Load(lambda _threads: processes(count, SPIN))


@contextmanager
def python_thread(graph: Graph, threads: int) -> Iterator[None]:
    """Another engine, run by another Python thread of this process."""
    engine, x, stop = Engine(graph, threads), example(graph.inputs), threading.Event()

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


def spinning_pool(graph: Graph, folder: Path) -> Callable[[], object]:
    """A run of ONNX Runtime on all CPUs as it comes: its threads go on looking for work for a while afterwards."""
    import onnxruntime

    path = folder / "model.onnx"
    write_onnx(graph, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: example(graph.inputs)}
    return lambda: session.run(None, feeds)
