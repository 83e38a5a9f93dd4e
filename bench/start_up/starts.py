"""Cold processes, in turn, and what each phase of them took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import sparsenet
from bench.engines.onnx_writer import write_onnx
from bench.measure.output import bar
from bench.start_up.programs import ORT, OURS, PHASES, asked_now
from bench.subjects.inputs import example
from bench.subjects.networks import build_graph
from bench.subjects.sparsity import sparsify
from sparsenet import bundle
from sparsenet.errors import SparsenetError

#: What is started → its program and the file it loads.
WAYS = {
    "model file": (OURS, "model.safetensors"),
    "bundle": (OURS, "bundle"),
    "ONNX Runtime": (ORT, "model.onnx"),
}


@dataclass(frozen=True)
class Start:
    """One way to start, one thread.

    Attributes:
        what: the engine and what it loads.
        seconds: median over rounds of each of ``PHASES``; ``processor`` is what all of them took of a core, which other
            processes cannot lengthen as they do ``wall``.
        least: least of each.
        numba: whether Numba was imported.
    """

    what: str
    seconds: dict[str, float]
    least: dict[str, float]
    numba: bool


def cold_starts(model: str, sparsity: float, rounds: int, size: int | None = None) -> list[Start]:
    """Start every engine ``rounds`` times, in turn, on the same network and input; the first turn warms the caches.

    Raises:
        SparsenetError: a process failed, or the engines do not agree.
    """
    runs = []
    with tempfile.TemporaryDirectory() as folder, bar(rounds + 1, "round") as progress:
        progress.set_description(f"{model} at {sparsity:.0%}")
        _write_files(Path(folder), model, sparsity, size)
        for _ in range(rounds + 1):
            runs.append({what: run(program, Path(folder), file) for what, (program, file) in WAYS.items()})
            progress.update()
    sums = [float(one["sum"]) for one in runs[0].values()]
    if not np.allclose(sums, sums[0], rtol=1e-3):
        raise SparsenetError(f"the engines do not agree: sums of outputs {sums}")
    return [_summary(what, [one[what] for one in runs[1:]]) for what in WAYS]


def _write_files(folder: Path, model: str, sparsity: float, size: int | None) -> None:
    graph = sparsify(build_graph(model, size), sparsity)
    sparsenet.save(graph, folder / "model.safetensors")
    write_onnx(graph, folder / "model.onnx")
    engine = sparsenet.load(folder / "model.safetensors", threads=1)
    bundle.save(engine.plan, folder / "bundle", sparse=engine.sparse, metadata=engine.metadata)
    np.save(folder / "x.npy", example(engine.inputs))


def _summary(what: str, runs: Sequence[dict[str, Any]]) -> Start:
    table = np.array([one["phases"] for one in runs])
    median, least = (
        dict(zip(PHASES, row.tolist(), strict=True)) for row in (np.median(table, axis=0), table.min(axis=0))
    )
    return Start(what, median, least, any(one["numba"] for one in runs))


def run(program: str, folder: Path, file: str) -> dict[str, Any]:
    """What ``program`` tells when it loads ``file`` of ``folder``; SparsenetError with its last words if it fails."""
    command = [sys.executable, "-c", program, asked_now(), file, "x.npy"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(  # noqa: S603 - this interpreter, a program of this project
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise SparsenetError(f"starting on {file} failed: {reason}")
    return dict(json.loads(done.stdout))
